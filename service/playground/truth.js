// What came where a table goes on behind the rows that a forecast was asked of.
import { askForecast, rowsKept } from "./subject.js";

/**
 * What came where the table goes on, as the service reads it: a forecast from later on tells its history.
 * @returns {Promise<{histories: object[][], problem: string | null}>} of every series, from one time after the other
 */
export async function laterOf(table, held, { horizon, levels, ...query }, { forecasts }, spec, signal) {
  const histories = [];
  const steps = Math.min(forecasts[0].timestamps.length, held);
  try {
    for (let ahead = 0; ahead < steps; ahead += spec.seq_len) {
      const rows = rowsKept({ held: held - Math.min(steps, ahead + spec.seq_len) });
      const response = await askForecast(table, rows, { ...query, history: "true" }, { signal });
      histories.push((await response.json()).forecasts.map(({ history }) => history));
    }
  } catch (error) {
    if (error.name === "AbortError" || !error.faults) throw error;
    return { histories, problem: error.faults.map(({ message }) => message).join("; ") || error.message };
  }
  return { histories, problem: null };
}

/** By timestamp: the values of a series, and the names of the columns where they were filled. */
export function truthOf(histories) {
  const truth = new Map();
  for (const { timestamps, values, filled } of histories) {
    const places = Object.entries(filled).map(([name, each]) => [name, new Set(each)]);
    timestamps.forEach((stamp, index) => {
      const row = Object.fromEntries(Object.entries(values).map(([name, each]) => [name, each[index]]));
      const made = places.filter(([, each]) => each.has(index)).map(([name]) => name);
      truth.set(String(stamp), { values: row, filled: new Set(made) });
    });
  }
  return truth;
}

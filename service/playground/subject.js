// The table in hand, which the views Forecast and Attention share.
import { call } from "./api.js";
import { Table } from "./table.js";

export const subject = {
  /** @type {Table | null} */
  table: null,
  /** The bundle whose sample it is, if it is one. */
  sampleOf: null,
  /** After which row it is forecast. */
  origin: 0,
  fill: "interpolate",
};

export function setTable(text, name, sampleOf = null) {
  subject.table = new Table(text, name);
  subject.sampleOf = sampleOf;
  subject.origin = subject.table.rows;
}

/** A bundle's own sample. */
export async function takeSample(model, signal) {
  const answer = await call(`models/${encodeURIComponent(model)}/sample`, { accept: "text/csv", signal });
  setTable(await answer.text(), "sample.csv", model);
}

/** Ask for a forecast of a table's first `rows`, as they stand: the service reads them. */
export const askForecast = (table, rows, query, how = {}) =>
  call("forecast", { query, body: table.upTo(rows), type: "text/csv", ...how });

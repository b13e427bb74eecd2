// The table in hand, which the views Forecast and Attention share.
import { call } from "./api.js";
import { Table } from "./table.js";

export const subject = {
  /** @type {Table | null} */
  table: null,
  /** The bundle whose sample it is, if it is one. */
  sampleOf: null,
  /** The name of the column whose rows of one value are one series; null where all rows are. */
  idColumn: null,
  /** Which series is looked at, in the order in which they begin. */
  series: 0,
  /** Rows at the end of each series that are held back. */
  held: 0,
  fill: "interpolate",
};

export function setTable(text, name, sampleOf = null) {
  const before = idOfSeries();
  subject.table = new Table(text, name);
  subject.sampleOf = sampleOf;
  subject.held = 0;
  setIdColumn(subject.table.names.includes(subject.idColumn) ? subject.idColumn : null);
  subject.series = Math.max(0, ids().indexOf(before));
}

export function setIdColumn(name) {
  subject.idColumn = name;
  subject.series = subject.held = 0;
}

/** A bundle's own sample, with as many rows held back as it forecasts. @param {{pred_len: number, seq_len: number}} spec */
export async function takeSample(model, spec, signal) {
  const query = { rows: spec.seq_len + spec.pred_len };
  const answer = await call(`models/${encodeURIComponent(model)}/sample`, { query, accept: "text/csv", signal });
  setTable(await answer.text(), "sample.csv", model);
  subject.held = spec.pred_len;
}

/** The ids, in the order in which their series begin; none where all rows are one series. */
export const ids = () => (subject.idColumn === null ? [] : [...subject.table.rowsBy(subject.idColumn).keys()]);

const idOfSeries = () => (subject.table === null ? null : ids()[subject.series] ?? null);

/** How many rows the series looked at has. */
export const rowsOfSeries = () =>
  subject.idColumn === null ? subject.table.rows : [...subject.table.rowsBy(subject.idColumn).values()][subject.series].length;

/** After which of its rows it is forecast. */
export const origin = () => rowsOfSeries() - subject.held;

/**
 * The rows that are asked about: all but the last `held` of each series.
 * @param {boolean} [alone] those of the series looked at
 */
export function rowsKept({ held = subject.held, alone = false } = {}) {
  const { table, idColumn, series } = subject;
  if (idColumn === null) return table.range(table.rows - held);
  const groups = [...table.rowsBy(idColumn).values()];
  // of one that is shorter a row stays, for the service to tell so
  const kept = (alone ? [groups[series]] : groups).map((rows) => rows.slice(0, Math.max(1, rows.length - held)));
  return kept.flat().sort((a, b) => a - b);
}

/** The part of a query that says which rows are a series. */
export const ofIds = () => (subject.idColumn === null ? {} : { id_column: subject.idColumn });

/** Ask for a forecast of some rows of a table, as they stand: the service reads them. */
export const askForecast = (table, rows, query, how = {}) =>
  call("forecast", { query, body: table.only(rows), type: "text/csv", ...how });

// Small multiples of a forecast: a chart a column, with history, bands, truth and errors.
import { Chart } from "./chart.js";
import { colour, make } from "./dom.js";
import { seconds, written } from "./stamps.js";

const LEVELS = ["95", "80"]; // the wider one is drawn first

/**
 * A forecast and what it is compared with, by column, ready to draw.
 * @param {object} forecast of the API's answer, with `history`
 * @param {Map<string, {values: Record<string, number>, filled: Set<string>}>} truth by timestamp
 * @param {{rows: number, name: string} | null} season
 */
export function compare(forecast, truth, season) {
  const { history, timestamps } = forecast;
  const stamps = [...history.timestamps, ...timestamps];
  const told = timestamps.map((stamp) => truth.get(String(stamp)));
  const columns = Object.keys(forecast.values).map((name) => {
    const past = history.values[name];
    const values = forecast.values[name];
    const bands = LEVELS.filter((level) => forecast.intervals[level]).map((level) => ({
      level,
      ...forecast.intervals[level][name],
    }));
    // what was made up is never a truth
    const truths = told.map((row) => (row && !row.filled.has(name) ? row.values[name] : null));
    const naive = values.map((_, step) => naiveAt(past, step, season));
    return {
      name,
      past,
      filled: new Set(history.filled[name] ?? []),
      values,
      bands,
      truths,
      missing: told.map((row) => row !== undefined && row.filled.has(name)),
      error: meanError(values, truths),
      naiveError: meanError(naive, truths),
    };
  });
  return { stamps, times: stamps.map(seconds), origin: history.timestamps.length, columns };
}

/** The last season repeated, or the last value where there is none within the history: as contract/baselines.py. */
function naiveAt(past, step, season) {
  return season === null ? past.at(-1) : past[past.length - season.rows + (step % season.rows)];
}

function meanError(values, truths) {
  const errors = truths.flatMap((truth, step) => (truth === null ? [] : [Math.abs(values[step] - truth)]));
  return errors.length ? errors.reduce((sum, each) => sum + each, 0) / errors.length : null;
}

/** Four significant digits. */
export const short = (number) => String(Number(number.toPrecision(4)));

/** One column's figure, in `parent`; its chart goes to `group`. */
export function drawPanel(parent, group, { stamps, times, origin }, column, unit, naiveName) {
  const reading = make("p", { class: "reading" });
  const figure = make(
    "figure",
    { class: "figure" },
    make(
      "figcaption",
      {},
      make("span", { class: "name" }, column.name),
      unit ? make("span", { class: "unit" }, unit) : null,
      errorOf(column, naiveName),
    ),
    reading,
  );
  parent.append(figure);
  const rest = restOf(column);
  new Chart(figure, group, {
    label: `${column.name}: history of ${origin} rows, forecast of ${column.values.length}`,
    times,
    ...drawn(column, origin),
    under: (plot) => drawOrigin(plot, times, origin),
    tell: (index) => `${written(stamps[index])}, ${valuesAt(column, origin, index)}`,
    onPoint: (index) => {
      reading.replaceChildren(
        ...(index === null
          ? [rest]
          : [make("time", {}, written(stamps[index])), ` ${valuesAt(column, origin, index)}`]),
      );
    },
  });
}

function restOf({ values }) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `forecast ${low} to ${high}`;
}

function errorOf({ error, naiveError }, naiveName) {
  if (error === null) return null;
  return make(
    "span",
    { class: "error" },
    "MAE ",
    make(error <= naiveError ? "strong" : "span", {}, short(error)),
    ` · ${naiveName} `,
    make(error <= naiveError ? "span" : "strong", {}, short(naiveError)),
  );
}

/** All there is at an index into history and forecast, in words. */
export function valuesAt(column, origin, index) {
  if (index < origin) return `${column.past[index]}${column.filled.has(index) ? " (filled)" : ""}`;
  const step = index - origin;
  const bands = [...column.bands]
    .reverse()
    .map(({ level, lower, upper }) => `${level} %: ${lower[step]} to ${upper[step]}`);
  const truth = column.truths[step];
  const came = truth !== null ? [`truth ${truth}`] : column.missing[step] ? ["truth missing"] : [];
  return [`forecast ${column.values[step]}`, ...bands, ...came].join(" · ");
}

/** uPlot's series and bands. The lines of the future begin at the last row of the history. */
function drawn(column, origin) {
  const { past, values, truths, filled, missing } = column;
  const joint = past.at(-1);
  const ahead = (each) => [...Array(origin - 1).fill(null), joint, ...each];
  const behind = (each) => [...each, ...Array(values.length).fill(null)];
  const bounds = column.bands.flatMap(({ upper, lower }) => [ahead(upper), ahead(lower)]);
  const edge = { stroke: "transparent", points: { show: false } };
  const dot = (fill, stroke) => ({ show: true, size: 6, width: 1.5, fill, stroke });
  const only = { paths: () => null };
  return {
    series: [
      ...bounds.map((each) => ({ ...edge, values: each })),
      { stroke: colour("history"), width: 1.25, points: { show: false }, values: behind(past) },
      { stroke: colour("forecast"), width: 2, points: { show: false }, values: ahead(values) },
      {
        stroke: colour("truth"),
        width: 1.5,
        dash: [4, 3],
        points: { show: false },
        values: truths.some((truth) => truth !== null) ? ahead(truths) : ahead(truths).fill(null),
      },
      {
        ...only,
        stroke: colour("filled"),
        points: dot(colour("paper"), colour("filled")),
        values: behind(past.map((value, row) => (filled.has(row) ? value : null))),
      },
      {
        ...only,
        stroke: colour("missing"),
        points: dot(colour("missing"), colour("missing")),
        // where the truth would be nobody knows: the mark stands at the forecast
        values: [...Array(origin).fill(null), ...values.map((value, step) => (missing[step] ? value : null))],
      },
    ],
    bands: column.bands.map(({ level }, index) => ({
      series: [2 * index + 1, 2 * index + 2],
      fill: colour(`band-${level}`),
    })),
  };
}

/** A line between what was and what is forecast. */
function drawOrigin(plot, times, origin) {
  const { ctx, bbox } = plot;
  const x = Math.round(plot.valToPos((times[origin - 1] + times[origin]) / 2, "x", true));
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.save();
  ctx.strokeStyle = colour("muted");
  ctx.setLineDash([2, 4]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}

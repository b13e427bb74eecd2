// The view Attention: the maps behind a forecast, on the table that the view Forecast has in hand.
import { choices, manifest } from "./bundles.js";
import { Chart, ChartGroup, plotting } from "./chart.js";
import { byId, colour, debounced, make, offer } from "./dom.js";
import { Faults } from "./faults.js";
import { offerHeads } from "./heads.js";
import { HeatMap, percent, scaleOf, strength } from "./heatmap.js";
import { seconds, timeTicks, written } from "./stamps.js";
import { askForecast, ids, ofIds, origin, rowsKept, rowsOfSeries, subject, takeSample } from "./subject.js";

const at = (name) => byId(`attention-${name}`);

const KINDS = {
  cross: ["cross", "What is forecast looks at the history."],
  encoder: ["encoder", "The history looks at itself."],
  decoder: ["decoder", "What is forecast looks at itself, and at the end of the history that it starts from."],
};
// in the words of the API's own description
const UNSELECTED = {
  encoder: "not selected: it looked at nothing, and got the mean of all values",
  decoder: "not selected: it looked at nothing, and got the sum of the values up to its own step",
};

const group = new ChartGroup();
let faults = null;
let least = 1; // rows that the bundle looks back on
let shown = null;
let chosenHead = 0;
let map = null;
let chart = null;
let lit = []; // the stretches of time that the step pointed at looked at
let asking = new AbortController();

export async function start() {
  const fields = { "/model": at("model"), "/attention": at("layer"), "/fill": at("table"), "": at("table") };
  const ofTable = Object.fromEntries(["/rows", "/columns", "/time_column"].map((pointer) => [pointer, at("table")]));
  faults = new Faults({ ...fields, ...ofTable }, at("problem"));
  at("model").addEventListener("change", choose);
  at("sample").addEventListener("click", () => ask({ sample: true }));
  at("table").addEventListener("input", () => {
    subject.held = rowsOfSeries() - Number(at("table").value);
    showRow();
    askSoon();
  });
  for (const name of ["kind", "layer"]) at(name).addEventListener("change", () => ask());
  at("column").addEventListener("change", draw);
  document.documentElement.addEventListener("themechange", draw);
  await renew();
}

/** Offer what is served, and ask anew if that chosen has become another. */
export async function renew() {
  try {
    const offered = await choices("forecast");
    const manifests = await Promise.all(offered.map(({ value }) => manifest(value)));
    const another = offer(at("model"), offered.filter((_, index) => manifests[index].attention.length));
    if (!at("model").value) throw new Error("No bundle that gives attention maps is served.");
    if (another) await choose();
  } catch (error) {
    refuse(error);
  }
}

export function show() {
  if (at("model").value) choose();
}

const askLater = debounced(() => ask(), 200);

function askSoon() {
  wait();
  askLater();
}

function wait() {
  at("result").setAttribute("aria-busy", "true");
  asking.abort();
  asking = new AbortController();
  return asking.signal;
}

async function choose() {
  try {
    const { attention } = await manifest(at("model").value);
    const kinds = Object.keys(KINDS).filter((kind) => attention.some((each) => each.kind === kind));
    offer(at("kind"), kinds.map((kind) => ({ value: kind, text: KINDS[kind][0] })));
    await ask();
  } catch (error) {
    refuse(error);
  }
}

async function offerLayers() {
  const { attention } = await manifest(at("model").value);
  const layers = attention.filter(({ kind }) => kind === at("kind").value).map(({ layer }) => layer);
  at("kind-hint").textContent = KINDS[at("kind").value][1];
  offer(at("layer"), layers.map((layer) => ({ value: layer, text: layer })));
}

function showRow() {
  const rows = rowsOfSeries();
  const series = subject.idColumn === null ? "" : `, series ${ids()[subject.series]}`;
  at("row").textContent = `${origin()} of ${rows}`;
  at("hint").textContent = `${subject.table.name}${series}. Another is given in the view Forecast.`;
  at("table").min = String(rows < least ? 1 : least);
  at("table").max = String(Math.max(1, rows));
  at("table").value = String(origin());
}

async function ask({ sample = false } = {}) {
  const signal = wait();
  const model = at("model").value;
  try {
    const { forecast: spec } = await manifest(model);
    // the other view's table, unless it is a sample of a bundle without these columns
    if (sample || subject.table === null || (subject.sampleOf !== null && subject.sampleOf !== model)) {
      await takeSample(model, spec, signal);
    }
    least = spec.seq_len;
    showRow();
    await offerLayers();
    const wanted = { kinds: [at("kind").value], layers: [Number(at("layer").value)] };
    const query = { model, fill: subject.fill, ...ofIds(), history: "true", attention: JSON.stringify(wanted) };
    await plotting();
    const answer = await (await askForecast(subject.table, rowsKept({ alone: true }), query, { signal })).json();
    if (signal.aborted) return;
    faults.clear();
    const [forecast] = answer.forecasts;
    shown = { answer, forecast, spec, maps: forecast.attention[0], ...axesOf(forecast) };
    offer(at("column"), Object.keys(forecast.values).map((name) => ({ value: name, text: name })));
    draw();
  } catch (error) {
    refuse(error);
  }
}

/** All steps that the map may stand for, and which of them each row and column does. */
function axesOf({ history, timestamps, attention: [{ rows, columns }] }) {
  const stamps = [...history.timestamps, ...timestamps];
  const places = new Map(stamps.map((stamp, index) => [stamp, index]));
  const spans = (axis) => axis.from.map((from, index) => [places.get(from), places.get(axis.to[index])]);
  return { stamps, times: stamps.map(seconds), rowSpans: spans(rows), columnSpans: spans(columns) };
}

function refuse(error) {
  if (error.name === "AbortError") return;
  shown = null;
  draw();
  faults.show(error.faults ? error : { faults: [], message: error.message });
}

function draw() {
  group.destroy();
  map?.destroy();
  map = chart = null;
  lit = [];
  at("result").removeAttribute("aria-busy");
  at("result").hidden = at("heads").hidden = shown === null;
  if (shown === null) return;
  const { maps, answer, forecast } = shown;
  if (!maps.heads.some(({ head }) => head === chosenHead)) chosenHead = 0;
  const head = maps.heads.find((each) => each.head === chosenHead);
  offerHeads(at("heads"), maps.heads, chosenHead, (chosen) => {
    chosenHead = chosen;
    draw();
  });
  drawChart(forecast);
  drawMap(maps, head);
  const what = `${maps.kind} attention, layer ${maps.layer}, head ${head.head}`;
  at("title").textContent = `${answer.model}, version ${answer.version}: ${what}`;
  at("notes").replaceChildren(...notesOf(maps, head).map((note) => make("li", {}, note)));
  at("colours").replaceChildren(scaleOf(map.most));
  tell(null);
}

function notesOf(maps, { selected }) {
  const unselected = selected.filter((each) => !each).length;
  const notes = ["Weights tell where a step looked, not why the forecast is what it is."];
  if (unselected) notes.push(`Hatched: ${unselected} of ${selected.length} queries that ProbSparse did not select. They looked at nothing.`);
  if (maps.mixed) notes.push("Steps and heads are mixed from here on: what a row gathered went on at another step.");
  if (maps.columns.from.some((from, index) => from !== maps.columns.to[index])) {
    notes.push("After distilling a position stands for several steps of the history.");
  }
  return notes;
}

function drawChart({ history, values }) {
  const name = at("column").value;
  const origin = history.timestamps.length;
  const past = [...history.values[name], ...Array(values[name].length).fill(null)];
  const ahead = [...Array(origin - 1).fill(null), history.values[name].at(-1), ...values[name]];
  const line = { points: { show: false } };
  chart = new Chart(at("chart"), group, {
    label: `${name}: history and forecast. Reading a step shows where it looked.`,
    times: shown.times,
    series: [
      { ...line, stroke: colour("history"), width: 1.25, values: past },
      { ...line, stroke: colour("forecast"), width: 2, values: ahead },
    ],
    under: paintLit,
    tell: (index) => `${written(shown.stamps[index])}: ${index < origin ? past[index] : ahead[index]}. ${wordsAt(index)}`,
    onPoint: (index) => {
      if (!map) return;
      const row = index === null ? null : rowAt(index);
      map.mark(row === null ? null : { row, column: null });
      tell(row, null, index);
    },
  });
}

function drawMap(maps, head) {
  const { stamps, rowSpans, columnSpans, forecast } = shown;
  const firstAhead = (spans) => spans.findIndex(([from]) => from >= stamps.length - forecast.timestamps.length);
  const axis = (title, { from, to }, spans) => ({
    title,
    length: from.length,
    ticks: timeTicks(from.map(seconds), to.map(seconds)),
    divide: firstAhead(spans),
  });
  const rows = axis("step", maps.rows, rowSpans);
  map = new HeatMap(at("map"), {
    label: `Weights of ${maps.kind} attention, layer ${maps.layer}, head ${head.head}`,
    rows: { ...rows, ticks: rows.ticks.map(({ at: place, label }) => ({ at: place, label: label.replace("\n", " ") })) },
    columns: axis("step looked at", maps.columns, columnSpans),
    weights: head.weights,
    selected: head.selected,
    onPoint: (cell) => {
      chart.point(cell === null ? null : shown.rowSpans[cell.row][0]);
      if (cell !== null) map.mark(cell);
      tell(cell?.row ?? null, cell?.column ?? null);
    },
  });
}

/** The row of the map that a step is in, or null. */
function rowAt(index) {
  const row = shown.rowSpans.findIndex(([from, to]) => from <= index && index <= to);
  return row < 0 ? null : row;
}

const headShown = () => shown.maps.heads.find(({ head }) => head === chosenHead);

/** Let the chart show where a row looked, and say it in words. */
function tell(row, column = null, index = null) {
  const weights = row === null || !headShown().selected[row] ? [] : headShown().weights[row];
  lit = weights.map((weight, place) => ({ span: shown.columnSpans[place], weight }));
  chart.plot.redraw(false, false);
  at("reading").textContent =
    row === null ? (index === null ? "Point at a step, or at a cell." : wordsAt(index)) : wordsOf(row, column);
}

function wordsAt(index) {
  const row = rowAt(index);
  return row === null ? "This step has no row in this map." : wordsOf(row, null);
}

function wordsOf(row, column) {
  const { maps, columnSpans, rowSpans } = shown;
  const who = spanOf(rowSpans[row]);
  if (!headShown().selected[row]) return `${who} was ${UNSELECTED[maps.kind] ?? "not selected: it looked at nothing"}.`;
  const weights = headShown().weights[row];
  if (column !== null) return `${who} looked at ${spanOf(columnSpans[column])}: ${percent(weights[column])}`;
  const most = weights.map((weight, place) => [weight, place]).sort(([a], [b]) => b - a);
  const told = most.slice(0, 3).map(([weight, place]) => `${spanOf(columnSpans[place])} ${percent(weight)}`);
  return `${who} looked most at ${told.join(", ")}`;
}

function spanOf([from, to]) {
  const { stamps } = shown;
  return from === to ? written(stamps[from]) : `${written(stamps[from])} to ${written(stamps[to])}`;
}

/** Behind the lines: the stretches looked at, as dark as the map has them. */
function paintLit(plot) {
  if (!lit.length) return;
  const { ctx, bbox } = plot;
  const { times } = shown;
  const half = (times[1] - times[0]) / 2;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const { span: [from, to], weight } of lit) {
    const left = plot.valToPos(times[from] - half, "x", true);
    const right = plot.valToPos(times[to] + half, "x", true);
    ctx.fillStyle = `rgba(${colour("mark-rgb")}, ${0.75 * strength(weight, map.most)})`;
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  ctx.restore();
}

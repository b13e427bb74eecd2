// The view Forecast.
import { address } from "./api.js";
import { choices, manifest } from "./bundles.js";
import { ChartGroup, plotting } from "./chart.js";
import { byId, debounced, make, offer } from "./dom.js";
import { copy, save } from "./download.js";
import { Faults } from "./faults.js";
import { key } from "./key.js";
import { compare, drawPanel, short } from "./panels.js";
import { pictureOf } from "./picture.js";
import { quoted } from "./shell.js";
import { season, written } from "./stamps.js";
import {
  askForecast,
  ids,
  ofIds,
  origin,
  rowsKept,
  rowsOfSeries,
  setIdColumn,
  setTable,
  subject,
  takeSample,
} from "./subject.js";
import { laterOf, truthOf } from "./truth.js";

const LONG = 1_000_000; // characters: more would make the field slow
const SHOWN_LINES = 100;

const at = (name) => byId(`forecast-${name}`);
const group = new ChartGroup((zoomed) => (at("zoom-out").hidden = !zoomed));
let faults = null;
let least = 1; // rows that the bundle looks back on
let sent = []; // rows of the table that were asked about last
let shown = null; // what the charts were drawn from
let asking = new AbortController(); // of the last question: one that is asked in its place ends it

export async function start() {
  plotting().catch(refuse);
  const table = at("table");
  const fields = { "/model": at("model"), "/horizon": at("horizon"), "/levels": at("levels"), "/fill": at("fill"), "/id_column": at("id") };
  const ofTable = Object.fromEntries(["/rows", "/columns", "/time_column", ""].map((pointer) => [pointer, table]));
  faults = new Faults({ ...fields, ...ofTable }, at("problem"), jumpTo);
  at("model").addEventListener("change", () => choose());
  at("sample").addEventListener("click", sample);
  at("open").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", () => open(at("file").files[0]));
  table.addEventListener("input", () => {
    setTable(table.value, "table.csv");
    showTable();
    askSoon();
  });
  table.addEventListener("paste", (event) => {
    if (!table.readOnly) return; // then it comes as input
    setTable(event.clipboardData.getData("text"), "table.csv");
    showTable();
    askSoon();
  });
  startDrop();
  at("origin").addEventListener("input", () => {
    subject.held = rowsOfSeries() - Number(at("origin").value);
    showOrigin();
    askSoon();
  });
  at("id").addEventListener("change", () => {
    setIdColumn(at("id").value === "" ? null : subject.table.names[at("id").value]);
    showTable();
    askSoon();
  });
  at("series").addEventListener("change", () => {
    subject.series = Number(at("series").value);
    showOrigin();
    look();
  });
  for (const name of ["horizon", "fill", "levels"]) at(name).addEventListener("input", askSoon);
  at("csv").addEventListener("click", downloadCsv);
  at("png").addEventListener("click", downloadPng);
  at("zoom-out").addEventListener("click", () => group.zoomOut());
  at("copy").addEventListener("click", () => copy(at("curl").textContent, at("copy")));
  at("values").addEventListener("toggle", drawValues);
  document.documentElement.addEventListener("themechange", draw);
  await renew({ keep: true });
}

/** When the view is shown again: another may have changed the table. */
export function show() {
  if (subject.table === null || (shown?.table === subject.table && shown.held === subject.held)) return;
  if (subject.sampleOf !== null && subject.sampleOf !== at("model").value) {
    choose(); // that of another bundle may have other columns
    return;
  }
  showTable();
  askSoon();
}

const askLater = debounced(() => ask(), 200);

function askSoon() {
  wait();
  askLater();
}

/** What is shown is not yet what is asked for. @returns {AbortSignal} of the question to come */
function wait() {
  at("panels").setAttribute("aria-busy", "true");
  asking.abort();
  asking = new AbortController();
  return asking.signal;
}

/** Offer what is served, and ask anew if that chosen has become another. */
export async function renew(how) {
  try {
    const another = offer(at("model"), await choices("forecast"));
    if (!at("model").value) throw new Error("No bundle that forecasts is served.");
    if (another) await choose(how);
  } catch (error) {
    refuse(error);
  }
}

/** Another bundle: its own sample, unless the table is the user's, or one that another view took, to `keep`. */
async function choose({ keep = false } = {}) {
  const model = at("model").value;
  const signal = wait();
  try {
    const { forecast, intervals } = await manifest(model);
    if (at("model").value !== model) return; // another was chosen meanwhile
    at("horizon").value = forecast.pred_len;
    least = forecast.seq_len;
    const known = ["80", "95"].filter((level) => intervals?.half_widths[level]);
    const none = { value: "", text: known.length ? "none" : "none: this bundle has no intervals" };
    const all = known.length ? [{ value: known.join(","), text: `${known.join(" and ")} %` }] : [];
    at("levels").replaceChildren();
    offer(at("levels"), [...all, none]);
    at("levels").selectedIndex = 0;
    const kept = subject.sampleOf === null || (keep && subject.sampleOf === model);
    if (subject.table === null || !kept) await takeSample(model, forecast, signal);
    showTable();
    await ask();
  } catch (error) {
    refuse(error);
  }
}

async function sample() {
  const signal = wait();
  try {
    const { forecast } = await manifest(at("model").value);
    await takeSample(at("model").value, forecast, signal);
    showTable();
    await ask();
  } catch (error) {
    refuse(error);
  }
}

async function open(file) {
  if (!file) return;
  wait();
  setTable(await file.text(), file.name);
  at("file").value = ""; // the same file can be opened again, once it has changed
  showTable();
  askSoon();
}

/** Anywhere on the page: beside the view the browser would leave it for the file. */
function startDrop() {
  const taken = (event) => !byId("view-forecast").hidden && event.dataTransfer.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!taken(event)) return;
    event.preventDefault();
    at("drop").classList.add("dropping");
  });
  document.addEventListener("dragleave", () => at("drop").classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    at("drop").classList.remove("dropping");
    if (!taken(event)) return;
    event.preventDefault();
    open(event.dataTransfer.files[0]);
  });
}

function showTable() {
  const { table } = subject;
  const long = table.text.length > LONG;
  const field = at("table");
  const text = long ? table.only(table.range(SHOWN_LINES)) : table.text;
  if (field.value !== text) field.value = text;
  field.readOnly = long;
  at("table-hint").textContent = long
    ? `${table.name}: the first ${SHOWN_LINES} of ${table.rows} rows. All of them are sent.`
    : `${table.rows} rows: a column of timestamps, then numbers. Paste yours, or drop a file here.`;
  const names = table.names.map((name, value) => ({ value, text: name })).filter(({ text: name }) => name !== "");
  at("id").replaceChildren();
  offer(at("id"), [{ value: "", text: "none: all rows are one series" }, ...names]);
  at("id").value = subject.idColumn === null ? "" : String(table.names.indexOf(subject.idColumn));
  at("series").replaceChildren();
  offer(at("series"), ids().map((id, value) => ({ value, text: id })));
  at("series").value = String(subject.series);
  at("series").closest(".field").hidden = subject.idColumn === null;
  showOrigin();
}

function showOrigin() {
  const rows = rowsOfSeries();
  // fewer rows than the bundle looks back on are no history
  at("origin").min = String(rows < least ? 1 : least);
  at("origin").max = String(Math.max(1, rows));
  at("origin").value = String(origin());
  at("origin-row").textContent = subject.held ? `${origin()} of ${rows}` : `${rows}, the last`;
  at("origin-hint").textContent = `Rows behind it are held back, ${subject.idColumn === null ? "" : "as many of every series, "}and shown as the truth.`;
}

/** The place of a fault in the table, if all of it is in the field. */
function jumpTo({ pointer }) {
  const row = /^\/rows\/(\d+)(?:\/|$)/.exec(pointer);
  const place = row && !at("table").readOnly ? subject.table?.place(sent[row[1]]) : null;
  if (!place) return null;
  return () => {
    const field = at("table");
    field.focus();
    field.setSelectionRange(place.start, place.end);
    // browsers scroll to a selection that is typed at alone
    const lines = field.value.slice(0, place.start).split("\n").length - 1;
    field.scrollTop = (lines - 2) * (field.scrollHeight / field.value.split("\n").length);
  };
}

/** The request's parameters, as the form has them. */
function wanted() {
  const query = { model: at("model").value, fill: at("fill").value, ...ofIds() };
  if (at("horizon").value) query.horizon = at("horizon").value;
  if (at("levels").value) query.levels = at("levels").value;
  return query;
}

async function ask() {
  subject.fill = at("fill").value;
  const signal = wait();
  const { table, held } = subject;
  const [query, rows] = [wanted(), rowsKept()];
  sent = rows;
  try {
    const { forecast: spec } = await manifest(query.model);
    const response = await askForecast(table, rows, { ...query, history: "true" }, { signal });
    const answer = await response.json();
    await plotting();
    const later = await laterOf(table, held, query, answer, spec, signal);
    faults.clear();
    const within = season(spec.frequency);
    const fits = within !== null && within.rows > 1 && within.rows <= spec.seq_len ? within : null;
    shown = { table, held, rows, query, answer, spec, later, fits };
    look();
  } catch (error) {
    refuse(error);
  }
}

/** Compare and draw the series chosen. */
function look() {
  if (shown !== null) {
    const { answer, later, fits } = shown;
    shown.forecast = answer.forecasts[subject.series];
    shown.picture = compare(shown.forecast, truthOf(later.histories.map((each) => each[subject.series])), fits);
  }
  draw();
}

const naiveName = (season) => (season === null ? "last value repeated" : `last ${season.name} repeated`);

/** Charts of a request before this one would be taken for its answer. */
function refuse(error) {
  if (error.name === "AbortError") return; // another question was asked in its place
  shown = null;
  draw();
  faults.show(error.faults ? error : { faults: [], message: error.message });
}

function draw() {
  group.destroy();
  const panels = at("panels");
  panels.replaceChildren();
  panels.removeAttribute("aria-busy");
  at("curl").textContent = shown === null ? "" : curl();
  at("taken").hidden = at("shell").hidden = shown === null;
  at("keys").hidden = at("zoom-out").hidden = true;
  at("warnings").replaceChildren();
  at("summary").textContent = shown === null ? "No forecast." : summary();
  showLegend();
  drawValues();
  if (shown === null) return;
  at("keys").hidden = false;
  const { forecast, later, spec, fits } = shown;
  const told = [...forecast.warnings, ...(later.problem ? [`The truth is not shown: ${later.problem}`] : [])];
  at("warnings").append(...told.map((warning) => make("li", {}, warning)));
  for (const column of shown.picture.columns) {
    drawPanel(panels, group, shown.picture, column, spec.units[column.name], naiveName(fits));
  }
}

function showLegend() {
  const columns = shown?.picture.columns ?? [];
  const has = {
    "[data-level='80']": columns.some(({ bands }) => bands.some(({ level }) => level === "80")),
    "[data-level='95']": columns.some(({ bands }) => bands.some(({ level }) => level === "95")),
    "[data-truth]": columns.some(({ error }) => error !== null),
    "[data-filled]": columns.some(({ filled }) => filled.size),
    "[data-missing]": columns.some(({ missing }) => missing.some(Boolean)),
  };
  const legend = document.querySelector("#view-forecast .legend");
  legend.hidden = shown === null;
  for (const [selector, there] of Object.entries(has)) legend.querySelector(selector).hidden = !there;
}

/** What is forecast, and from when on. */
function titleOf({ answer, picture, forecast }) {
  const series = forecast.id === null ? "" : `, series ${forecast.id}`;
  const last = picture.stamps[picture.origin - 1];
  return `${answer.model}, version ${answer.version}${series}: ${forecast.timestamps.length} steps after ${written(last)}`;
}

function summary() {
  const judged = shown.picture.columns.filter(({ error }) => error !== null);
  if (!judged.length) return `${titleOf(shown)}.`;
  const nearer = judged.filter(({ error, naiveError }) => error < naiveError).length;
  return `${titleOf(shown)}. Nearer to the truth than ${naiveName(shown.fits)} in ${nearer} of ${judged.length} columns, from this one row; seqcast backtest tells it of many.`;
}

/** What a shell gives the same CSV with. */
function curl() {
  const { table, rows, query } = shown;
  const sampled = subject.sampleOf !== null;
  const given = address(`models/${encodeURIComponent(subject.sampleOf)}/sample`, { rows: table.rows });
  const file = quoted(table.name.startsWith("-") ? `./${table.name}` : table.name);
  const authorization = key() === null ? "" : ' -H "Authorization: Bearer $API_KEY"';
  const parts = [];
  if (sampled) parts.push(`curl -s${authorization} ${quoted(given.href)} -H 'accept: text/csv'`);
  const left = table.linesBeside(rows).map(([first, last]) => (first === last ? `${first}d` : `${first},${last}d`));
  if (left.length) parts.push(`sed ${quoted(left.join(";"))}${sampled ? "" : ` ${file}`}`);
  const data = parts.length ? "@-" : quoted(`@${table.name}`);
  parts.push(`curl -s${authorization} --data-binary ${data} -H 'content-type: text/csv' ${quoted(address("forecast", query).href)}`);
  return parts.join(" |\n  ");
}

async function downloadCsv() {
  try {
    const answer = await askForecast(shown.table, shown.rows, shown.query, { accept: "text/csv" });
    save(await answer.text(), `${shown.answer.model}-forecast.csv`, "text/csv");
  } catch (error) {
    refuse(error);
  }
}

async function downloadPng() {
  const { answer, picture, fits, spec } = shown;
  const charts = picture.columns.map((column, index) => ({
    captions: [
      [column.name, spec.units[column.name]].filter(Boolean).join("  "),
      column.error === null ? "" : `MAE ${short(column.error)} · ${naiveName(fits)} ${short(column.naiveError)}`,
    ],
    canvas: group.charts[index].plot.ctx.canvas,
  }));
  save(await pictureOf(titleOf(shown), charts), `${answer.model}-forecast.png`);
}

/** The forecast in rows and cells; only once somebody opens it. */
function drawValues() {
  const parent = at("values").querySelector(".scroll");
  parent.replaceChildren();
  at("values").hidden = shown === null;
  if (shown === null || !at("values").open) return;
  const { forecast } = shown;
  const names = Object.keys(forecast.values);
  const cell = (text) => make("td", {}, text);
  parent.append(
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "timestamp"), names.map((name) => make("th", { scope: "col" }, name)))),
      make(
        "tbody",
        {},
        forecast.timestamps.map((stamp, step) =>
          make("tr", {}, make("th", { scope: "row" }, stamp), names.map((name) => cell(forecast.values[name][step]))),
        ),
      ),
    ),
  );
}

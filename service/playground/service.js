// The view Service: bundles with their cards, and what /metrics says, while the view is looked at.
import { call, Problem } from "./api.js";
import { bundles, manifest, renewBundles, scoreOf } from "./bundles.js";
import { cardOf } from "./card.js";
import { Chart, ChartGroup, plotting } from "./chart.js";
import { byId, colour, make } from "./dom.js";
import { buckets, parse, quantile, since, total } from "./prometheus.js";

const EVERY = 2000; // milliseconds between two readings
const WINDOW = 60; // seconds that rates and quantiles are of
const KEPT = 150; // points of the charts: five minutes
const REQUESTS = "seqcast_requests_total";
const SECONDS = "seqcast_request_seconds";
/** What the page itself and probes ask is no work. */
const ASIDE = new Set(["/", "/playground/{file}", "/metrics", "/healthz", "/readyz"]);
const works = ({ route }) => !ASIDE.has(route);

const at = (name) => byId(`service-${name}`);
const group = new ChartGroup();
let readings = []; // {time, samples}, oldest first
let points = []; // what the charts show
let timer = 0;
let offered = "";
let charts = null;

export async function start() {
  document.documentElement.addEventListener("themechange", drawCharts);
  document.addEventListener("visibilitychange", () => (document.hidden ? hide() : show()));
  await plotting();
  await read();
  schedule();
}

export function show() {
  if (!timer && !byId("view-service").hidden) read().then(schedule);
}

export function hide() {
  clearTimeout(timer);
  timer = 0;
}

function schedule() {
  clearTimeout(timer);
  const seen = !byId("view-service").hidden && !document.hidden;
  timer = seen ? setTimeout(() => read().then(schedule), EVERY) : 0;
}

async function read() {
  try {
    const samples = parse(await (await call("metrics", { accept: "text/plain" })).text());
    at("problem").hidden = true;
    note(samples);
    await readBundles(samples);
  } catch (error) {
    at("problem").hidden = false;
    at("problem").textContent = error.message;
  }
}

function note(samples) {
  const time = Date.now() / 1000;
  const last = readings.at(-1);
  // counters that fell are of a service that has started anew
  if (last && total(samples, REQUESTS) < total(last.samples, REQUESTS)) readings = points = [];
  readings = [...readings.filter((each) => each.time > time - WINDOW - EVERY / 1000), { time, samples }];
  const counts = recent(works);
  points = [
    ...points.slice(-KEPT),
    {
      time: time - 60 * new Date().getTimezoneOffset(), // on the clock of whoever looks
      queue: total(samples, "seqcast_queue_rows"),
      p50: milliseconds(quantile(0.5, counts)),
      p99: milliseconds(quantile(0.99, counts)),
    },
  ];
  drawTiles(samples);
  drawRoutes(samples);
  drawCharts();
}

const milliseconds = (seconds) => (seconds === null ? null : Number((1000 * seconds).toPrecision(3)));

/** Observations of the last minute, by bucket; none until there are two readings. */
function recent(wanted) {
  const [first, last] = [readings[0], readings.at(-1)].map(({ samples }) => buckets(samples, SECONDS, wanted));
  return since(last, first);
}

function rate(wanted) {
  const [first, last] = [readings[0], readings.at(-1)];
  if (first === last) return null;
  const more = total(last.samples, REQUESTS, wanted) - total(first.samples, REQUESTS, wanted);
  return Number((more / (last.time - first.time)).toPrecision(2));
}

const shown = (value) => (value === null ? "–" : value.toLocaleString("en"));

function drawTiles(samples) {
  const { queue, p50, p99 } = points.at(-1);
  const tiles = [
    ["rows waiting", queue],
    ["requests a second", rate(works)],
    ["ms, median", p50],
    ["ms, 99th percentile", p99],
    ["refused, since start", total(samples, "seqcast_rejections_total")],
    ["MB of memory", Math.round(total(samples, "process_resident_memory_bytes") / 1e6)],
  ];
  at("tiles").replaceChildren(
    ...tiles.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, shown(value)))),
  );
}

function drawRoutes(samples) {
  const routes = [...new Set(samples.filter(({ name }) => name === REQUESTS).map(({ labels }) => labels.route))].sort();
  at("routes").replaceChildren(
    ...routes.map((route) => {
      const ofRoute = (labels) => labels.route === route;
      const by = (first) => total(samples, REQUESTS, (labels) => ofRoute(labels) && labels.status[0] === first);
      const counts = recent(ofRoute);
      const cells = [
        total(samples, REQUESTS, ofRoute),
        by("4"),
        by("5"),
        rate(ofRoute),
        milliseconds(quantile(0.5, counts)),
        milliseconds(quantile(0.99, counts)),
      ];
      return make("tr", {}, make("th", { scope: "row" }, route), cells.map((cell) => make("td", {}, shown(cell))));
    }),
  );
}

/** Made once there are two points, and anew in another theme. */
function drawCharts(event) {
  if (points.length < 2) return;
  if (event || !charts) {
    group.destroy();
    charts = [
      liveChart("latency", "Latency of the last minute", [
        ["p50", "forecast"],
        ["p99", "truth"],
      ]),
      liveChart("queue", "Rows that wait for a thread", [["queue", "forecast"]]),
    ];
  }
  charts.forEach((each) => each());
}

/** @returns {() => void} what shows the points there are by then */
function liveChart(name, label, lines) {
  const valuesOf = () => lines.map(([key]) => points.map((point) => point[key]));
  const told = (point) => lines.map(([key]) => `${key} ${shown(point[key])}`);
  const inColour = (text, index) => make("span", { class: `key ${lines[index][1]}` }, text);
  const chart = new Chart(at(name), group, {
    label,
    times: points.map(({ time }) => time),
    series: lines.map(([key, stroke], index) => ({ stroke: colour(stroke), width: 1.75, points: { show: false }, values: valuesOf()[index] })),
    least: 1,
    tell: (index) => told(points[index]).join(", "),
    onPoint: (index) => at(`${name}-reading`).replaceChildren(...told(points[index ?? points.length - 1]).map(inColour)),
  });
  return () => chart.update(points.map(({ time }) => time), valuesOf());
}

/** The list of bundles, where it is another than before; and whether all are served. */
async function readBundles(samples) {
  const now = samples
    .filter(({ name }) => name === "seqcast_bundle_info")
    .map(({ labels }) => `${labels.model}:${labels.version}`)
    .join(" ");
  if (now === offered) return;
  await renewBundles();
  const [served, ready] = await Promise.all([bundles(), readiness()]);
  at("ready").textContent = ready.text;
  at("unserved").replaceChildren(...ready.unserved.map((each) => make("li", {}, each)));
  const rows = served.flatMap(({ name, task, versions }) => versions.map((version) => bundleOf(name, version, task)));
  at("bundles").replaceChildren(...rows);
  offered = now;
}

async function readiness() {
  try {
    const answer = await (await call("readyz")).json();
    return { text: `The service is ${answer.status}.`, unserved: answer.not_served };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { text: `Not ready: ${error.message}`, unserved: [] };
  }
}

/** A line that opens to the card, which is asked for then. */
function bundleOf(name, version, task) {
  const content = make("div", {});
  const opened = async (event) => {
    if (!event.target.open || content.hasChildNodes()) return;
    try {
      content.replaceChildren(cardOf((await manifest(`${name}:${version}`)).card));
    } catch (error) {
      content.replaceChildren(make("p", { class: "problem" }, error.message));
    }
  };
  const what = make("span", { class: "unit" }, `version ${version} · ${task}`);
  manifest(`${name}:${version}`).then(
    (told) => (what.textContent += scoreOf(told)),
    () => {}, // it is told where the card is asked for
  );
  return make("details", { class: "bundle", toggle: opened }, make("summary", {}, name, what), content);
}

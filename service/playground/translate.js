// The view Translate: one text, and what each chosen bundle makes of it.
import { getJson } from "./api.js";
import { choices, manifest } from "./bundles.js";
import { byId, debounced, make, offer } from "./dom.js";
import { Faults } from "./faults.js";
import { Translation } from "./translation.js";

const TYPING = 350; // milliseconds without a key that end it
const AT_FIRST = 2;

const at = (name) => byId(`translate-${name}`);
let faults = null;
let served = []; // {value, text, manifest} of every bundle that translates
let shown = new Map(); // Translation by bundle
let asking = new AbortController();

export async function start() {
  const controls = { "/q": at("text"), "/source": at("languages"), "/target": at("languages"), "/alternatives": at("alternatives") };
  faults = new Faults(controls, at("problem"));
  at("languages").addEventListener("change", () => offerBundles());
  at("text").addEventListener("input", askSoon);
  at("alternatives").addEventListener("input", askSoon);
  document.documentElement.addEventListener("themechange", () => shown.forEach((each) => each.draw()));
  await renew();
}

/** Offer what is served, if it is another than before; a first text with it. */
export async function renew() {
  try {
    const before = served;
    const offered = await choices("translate");
    const manifests = await Promise.all(offered.map(({ value }) => manifest(value)));
    served = offered.map((each, index) => ({ ...each, manifest: manifests[index] })).sort((a, b) => bleu(b) - bleu(a));
    if (!served.length) throw new Error("No bundle that translates is served.");
    if (textsOf(before) === textsOf(served)) return;
    for (const { value, text } of before) {
      if (served.some((each) => each.value === value && each.text === text)) continue;
      shown.get(value)?.remove();
      shown.delete(value);
    }
    await offerLanguages();
    if (!before.length) {
      const { q } = await getJson(`models/${encodeURIComponent(served[0].value)}/sample`);
      if (!at("text").value) at("text").value = q;
    }
    offerBundles(chosen());
  } catch (error) {
    refuse(error);
  }
}

const textsOf = (each) => each.map(({ text }) => text).join("\n");

const chosen = () => [...at("bundles").querySelectorAll(":checked")].map(({ value }) => value);

/** The best first, as the API asks it where a request names none. */
const bleu = ({ manifest: { metrics } }) => (typeof metrics.bleu === "number" ? metrics.bleu : 0);

const pairOf = ({ manifest: { translate } }) => `${translate.source} ${translate.target}`;

async function offerLanguages() {
  const names = new Map((await getJson("languages")).map(({ code, name }) => [code, name]));
  const pairs = [...new Set(served.map(pairOf))];
  const told = (pair) => pair.split(" ").map((code) => names.get(code) ?? code).join(" to ");
  offer(at("languages"), pairs.map((pair) => ({ value: pair, text: told(pair) })));
}

/** Those for the languages chosen. If none of `kept` is there, the best two are ticked; of an older version nobody asks at first. */
function offerBundles(kept = []) {
  const fitting = served.filter((each) => pairOf(each) === at("languages").value);
  const still = fitting.filter(({ value }) => kept.includes(value));
  const ticked = still.length ? still : fitting.filter(({ value }) => !value.includes(":")).slice(0, AT_FIRST);
  const boxes = fitting.map((each) => {
    const { value, text } = each;
    const box = make("input", { type: "checkbox", value, checked: ticked.includes(each), change: showChosen });
    return make("label", {}, box, text);
  });
  at("bundles").querySelectorAll("label").forEach((old) => old.remove());
  at("bundles").append(...boxes);
  showChosen();
}

function showChosen() {
  const names = chosen();
  for (const [name, translation] of shown) if (!names.includes(name)) translation.remove();
  shown = new Map(
    names.map((name) => [
      name,
      shown.get(name) ?? new Translation(at("results"), name, served.find(({ value }) => value === name).manifest),
    ]),
  );
  at("results").append(...[...shown.values()].map(({ element }) => element)); // in the order of the list
  ask();
}

const askLater = debounced(() => ask(), TYPING);

function askSoon() {
  wait();
  askLater();
}

function wait() {
  at("results").setAttribute("aria-busy", "true");
  asking.abort();
  asking = new AbortController();
  return asking.signal;
}

async function ask() {
  const signal = wait();
  const [text, alternatives] = [at("text").value, at("alternatives").value];
  try {
    const asked = [...shown.values()].map((each) => each.ask(text, alternatives === "" ? 0 : Number(alternatives), signal));
    const problems = (await Promise.all(asked)).filter((problem) => problem !== null);
    if (signal.aborted) return;
    faults.clear();
    if (problems.length) faults.show(joined(problems));
    at("results").removeAttribute("aria-busy");
  } catch (error) {
    refuse(error);
  }
}

/** What several bundles find wrong with the one text, each thing once. */
function joined(problems) {
  const told = new Map(problems.flatMap(({ faults: each }) => each.map((fault) => [`${fault.pointer} ${fault.message}`, fault])));
  return { message: problems[0].message, faults: [...told.values()] };
}

function refuse(error) {
  if (error.name === "AbortError") return;
  at("results").removeAttribute("aria-busy");
  faults.show(error.faults ? error : { faults: [], message: error.message });
}

// The view Names: words drawn from a bundle that generates, each with its likelihood.
import { postJson } from "./api.js";
import { choices, manifest } from "./bundles.js";
import { byId, debounced, make, offer } from "./dom.js";
import { Faults } from "./faults.js";

const at = (name) => byId(`names-${name}`);
let faults = null;
let asking = new AbortController();

export async function start() {
  const controls = Object.fromEntries(
    ["model", "prompt", "temperature", "count", "seed"].map((name) => [`/${name}`, at(name)]),
  );
  faults = new Faults(controls, at("problem"));
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  // the API says what is wrong with a number, not the browser
  at("form").noValidate = true;
  at("model").addEventListener("change", choose);
  at("range").addEventListener("input", () => {
    at("temperature").value = at("range").value;
    askSoon();
  });
  at("temperature").addEventListener("input", () => (at("range").value = at("temperature").value));
  for (const name of ["prompt", "temperature", "count", "seed"]) at(name).addEventListener("input", askSoon);
  at("keep").addEventListener("click", () => {
    at("seed").value = at("keep").value;
    at("keep").hidden = true;
    at("seed").focus();
  });
  await renew();
}

/** Offer what is served, and draw anew if that chosen has become another. */
export async function renew() {
  try {
    const another = offer(at("model"), await choices("generate"));
    if (!at("model").value) throw new Error("No bundle that generates is served.");
    if (another) await choose();
  } catch (error) {
    refuse(error);
  }
}

const askLater = debounced(() => ask(), 250);

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
    const { generate } = await manifest(at("model").value);
    at("prompt-hint").textContent = `Characters of ${generate.alphabet}`;
    await ask();
  } catch (error) {
    refuse(error);
  }
}

/** A number as it was typed: what is none goes on as it is, for the API to refuse. */
const typed = (text) => (text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));

async function ask() {
  const signal = wait();
  const request = {
    model: at("model").value,
    prompt: at("prompt").value,
    count: typed(at("count").value),
    temperature: typed(at("temperature").value),
  };
  if (at("seed").value !== "") request.seed = typed(at("seed").value);
  try {
    const answer = await postJson("generate", request, { signal });
    faults.clear();
    draw(answer, request.seed === undefined);
  } catch (error) {
    refuse(error);
  }
}

function refuse(error) {
  if (error.name === "AbortError") return;
  draw(null);
  faults.show(error.faults ? error : { faults: [], message: error.message });
}

function draw(answer, made) {
  at("result").removeAttribute("aria-busy");
  at("keep").hidden = !made;
  at("words").replaceChildren();
  at("summary").textContent = answer === null ? "No words." : `${answer.model}, version ${answer.version}: seed ${answer.seed}`;
  if (answer === null) return;
  at("keep").value = answer.seed;
  const least = Math.min(...answer.generated.map((each) => each.log_likelihood));
  at("words").append(
    ...answer.generated.map(({ text, log_likelihood: likelihood, ended }) => {
      const filled = make("span", {});
      filled.style.width = `${least === 0 ? 0 : 100 * (likelihood / least)}%`;
      return make(
        "tr",
        {},
        make("th", { scope: "row" }, ended ? text : `${text}…`),
        make("td", {}, likelihood),
        make("td", {}, make("span", { class: "bar" }, filled)),
        make("td", {}, oneIn(likelihood)),
      );
    }),
  );
}

/** How rare a word of this likelihood is, in two digits. */
export function oneIn(likelihood) {
  const words = Math.exp(-likelihood);
  if (!Number.isFinite(words) || words >= 1e15) return `10^${Math.round(-likelihood / Math.LN10)}`;
  return Number(words.toPrecision(2)).toLocaleString("en");
}

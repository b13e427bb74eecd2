// What is served, read once, and anew from time to time: versions come and go while the page is open.
import { getJson } from "./api.js";

let listed = null;
let edition = 0; // of the list
let refused = false; // for want of a key, which is asked for once
const manifests = new Map();

/** @returns {Promise<{name: string, version: number, versions: number[], task: string}[]>} */
export function bundles() {
  listed ??= getJson("models").then(
    (answer) => {
      refused = false;
      return answer.models;
    },
    (error) => {
      listed = null;
      throw error;
    },
  );
  return listed;
}

/** Of a task, for a select: the newest version of each by its name, older ones as name:version. */
export async function choices(task) {
  const served = (await bundles()).filter((each) => each.task === task);
  return served.flatMap(({ name, versions }) =>
    versions.map((version, index) => ({
      value: index ? `${name}:${version}` : name,
      text: `${name} · version ${version}`,
    })),
  );
}

/** The manifest and card of a bundle, called as `choices` calls it. */
export function manifest(reference) {
  if (!manifests.has(reference)) {
    const asked = getJson(`models/${encodeURIComponent(reference)}`);
    asked.catch(() => manifests.delete(reference));
    manifests.set(reference, asked);
  }
  return manifests.get(reference);
}

/** Read the list anew. @returns {Promise<number>} another number than before if it is another list */
export async function renewBundles() {
  if (refused) return edition;
  const before = await listed?.catch(() => null);
  try {
    const { models } = await getJson("models");
    listed = Promise.resolve(models);
    if (JSON.stringify(models) === JSON.stringify(before)) return edition;
    manifests.clear();
    edition += 1;
  } catch (error) {
    refused = error.status === 401 || error.status === 403; // that it does not answer may pass
  }
  return edition;
}

const number = (value, digits) => (typeof value === "number" ? value.toFixed(digits) : "?");

/** The lowest of some losses, and whose it is. */
const best = (losses) => Object.entries(losses).sort(([, a], [, b]) => a - b)[0];

/** By task: how good a bundle is, beside the best of what is simple. */
const SCORES = {
  forecast: ({ scores: { model, ...baselines } }) => {
    const [name, mse] = best(Object.fromEntries(Object.entries(baselines).map(([each, { mse }]) => [each, mse])));
    return `MSE ${number(model.mse, 3)}, ${name} ${number(mse, 3)}`;
  },
  translate: ({ bleu, chrf }) => `BLEU ${number(bleu, 1)}, chrF ${number(chrf, 1)}`,
  generate: ({ test: { losses: { model, ...others } } }) => {
    const [name, loss] = best(others);
    return `${number(model, 3)} nats a character, ${name} ${number(loss, 3)}`;
  },
};

/** How good a bundle is, in a few words with a separator before; nothing of one that does not say. */
export function scoreOf({ task, metrics }) {
  try {
    return ` · ${SCORES[task](metrics)}`;
  } catch {
    return ""; // metrics are carried for people: a bundle made elsewhere has others, or none
  }
}

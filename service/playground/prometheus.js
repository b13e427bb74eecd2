// The text that /metrics answers, read; and rates and quantiles of histograms as Prometheus computes them.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { n: "\n" };

/** @returns {{name: string, labels: Record<string, string>, value: number}[]} */
export function parse(text) {
  return text
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => {
      const [, name, labels = "", value] = LINE.exec(line);
      return { name, labels: labelsOf(labels), value: value === "+Inf" ? Infinity : Number(value) };
    });
}

const labelsOf = (text) =>
  Object.fromEntries(
    [...text.matchAll(LABEL)].map(([, name, value]) => [name, value.replace(/\\(.)/g, (_, each) => ESCAPED[each] ?? each)]),
  );

/** The sum of the samples called `name` that `wanted` accepts. */
export const total = (samples, name, wanted = () => true) =>
  samples.reduce((sum, each) => (each.name === name && wanted(each.labels) ? sum + each.value : sum), 0);

/**
 * How many observations of a histogram were at most as large as each bound, of those that `wanted` accepts.
 * @returns {Map<number, number>} in the order of the bounds
 */
export function buckets(samples, name, wanted) {
  const counts = new Map();
  for (const { name: each, labels, value } of samples) {
    if (each !== `${name}_bucket` || !wanted(labels)) continue;
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return new Map([...counts].sort(([a], [b]) => a - b));
}

/** `later` less `earlier`. */
export const since = (later, earlier) => new Map([...later].map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)]));

/** As histogram_quantile: linear within the bucket; the largest finite bound beyond it; null of no observations. */
export function quantile(share, counts) {
  const bounds = [...counts];
  const all = bounds.at(-1)?.[1] ?? 0;
  if (!all) return null;
  const wanted = share * all;
  let [below, before] = [0, 0];
  for (const [bound, count] of bounds) {
    if (count >= wanted) return bound === Infinity ? below : below + (bound - below) * ((wanted - before) / (count - before));
    [below, before] = [bound, count];
  }
  return below;
}

// Which view is shown: that of the address, whose module is loaded when it is first asked for.
import { startKeys } from "./key.js";

const VIEWS = ["forecast", "attention", "translate", "names", "service"];
const EVERY = 30_000; // milliseconds between two looks at what is served
const started = new Map();
const editions = new Map(); // of the list of bundles, by the view that shows it
let current = null;

async function show() {
  const asked = location.hash.slice(1);
  if (current !== null && !VIEWS.includes(asked)) return; // a link within the page
  const name = VIEWS.includes(asked) ? asked : VIEWS[0];
  for (const each of VIEWS) document.getElementById(`view-${each}`).hidden = each !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} · seqcast playground`;
  const before = current;
  current = name;
  if (before !== null && before !== name) (await started.get(before))?.hide?.();
  if (started.has(name)) (await started.get(name)).show?.();
  else {
    const loading = import(`./${name}.js`).then(async (view) => {
      await view.start();
      return view;
    });
    started.set(name, loading);
    await loading;
  }
  if (before !== null) await renew();
}

/** Let the view shown offer what is served by now. */
async function renew() {
  if (document.hidden || !started.has(current)) return;
  const { renewBundles } = await import("./bundles.js");
  const [name, view, edition] = [current, await started.get(current), await renewBundles()];
  if ((editions.get(name) ?? 0) === edition) return;
  editions.set(name, edition);
  await view.renew?.();
}

addEventListener("hashchange", show);
document.addEventListener("visibilitychange", renew);
setInterval(renew, EVERY);
startKeys();
show();

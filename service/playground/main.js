// Which view is shown: that of the address, whose module is loaded when it is first asked for.
import { startKeys } from "./key.js";

const VIEWS = ["forecast", "attention", "translate", "names", "service"];
const started = new Map();
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
  if (started.has(name)) {
    (await started.get(name)).show?.();
    return;
  }
  const loading = import(`./${name}.js`).then(async (view) => {
    await view.start();
    return view;
  });
  started.set(name, loading);
  await loading;
}

addEventListener("hashchange", show);
startKeys();
show();

// A bundle's card, in the Markdown that model/card.py writes: headings, lists, tables, code and paragraphs.
import { make } from "./dom.js";

/** @returns {HTMLElement} whose texts are texts, whatever is in them */
export function cardOf(markdown) {
  const element = make("div", { class: "card" });
  const lines = markdown.split("\n");
  for (let at = 0; at < lines.length; ) {
    const [kind, end] = blockAt(lines, at);
    if (kind) element.append(BLOCKS[kind](lines.slice(at, end)));
    at = end;
  }
  return element;
}

const STARTS = [
  ["code", /^```/],
  ["heading", /^#{1,6} /],
  ["table", /^\|/],
  ["list", /^- /],
];

/** What begins at a line, and where it ends. */
function blockAt(lines, at) {
  if (!lines[at].trim()) return [null, at + 1];
  const kind = STARTS.find(([, pattern]) => pattern.test(lines[at]))?.[0] ?? "paragraph";
  let end = at + 1;
  if (kind === "code") {
    while (end < lines.length && !lines[end].startsWith("```")) end += 1;
    return [kind, end + 1];
  }
  if (kind === "heading") return [kind, end];
  const goesOn = {
    table: (line) => line.startsWith("|"),
    list: (line) => line.startsWith("- ") || line.startsWith("  "),
    paragraph: (line) => line.trim() && !STARTS.some(([, pattern]) => pattern.test(line)),
  }[kind];
  while (end < lines.length && goesOn(lines[end])) end += 1;
  return [kind, end];
}

const BLOCKS = {
  code: (lines) => make("pre", { class: "code" }, lines.slice(1).filter((line) => !line.startsWith("```")).join("\n")),
  heading: ([line]) => make("h4", {}, inline(line.replace(/^#+ /, ""))),
  paragraph: (lines) => make("p", {}, inline(lines.join(" "))),
  list: (lines) => {
    const items = lines.join("\n").split(/\n?^- /m).slice(1);
    return make("ul", {}, items.map((item) => make("li", {}, inline(item.replaceAll(/\n\s*/g, " ")))));
  },
  table: ([head, , ...rows]) =>
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, cellsOf(head).map((cell) => make("th", { scope: "col" }, inline(cell))))),
      make(
        "tbody",
        {},
        rows.map((row) =>
          make("tr", {}, cellsOf(row).map((cell, at) => make(at ? "td" : "th", at ? {} : { scope: "row" }, inline(cell)))),
        ),
      ),
    ),
};

const cellsOf = (row) => row.replace(/^\||\|\s*$/g, "").split("|").map((cell) => cell.trim());

/** Code and strong text within a line. */
const inline = (text) =>
  text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (/^`[^`]+`$/.test(part)) return make("code", {}, part.slice(1, -1));
    return /^\*\*[^*]+\*\*$/.test(part) ? make("strong", {}, part.slice(2, -2)) : part;
  });

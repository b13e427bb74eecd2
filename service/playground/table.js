// A CSV as text. The service reads it; here it is only cut between rows, and its rows are found again.

const QUOTE = 34;
const SEPARATORS = new Set([44, 59, 9]); // comma, semicolon, tab: whichever the table has
const LINE_FEED = 10;

export class Table {
  /** @param {string} text @param {string} name of its file */
  constructor(text, name) {
    this.text = text.replaceAll(/\r\n?/g, "\n"); // as a textarea has it, so that places are the same
    this.name = name;
    // the first is the header's
    this.records = recordsOf(this.text);
  }

  /** How many rows there are below the header. */
  get rows() {
    return Math.max(0, this.records.length - 1);
  }

  /** The text of the header and the first `rows`. */
  upTo(rows) {
    return rows >= this.rows ? this.text : this.text.slice(0, this.records[rows].next);
  }

  /** Lines of `upTo(rows)`, as head counts them. */
  linesUpTo(rows) {
    return this.upTo(rows).split("\n").length - 1;
  }

  /** Where the text of a row begins and ends; rows count from 0 below the header, as in the API's pointers. */
  place(row) {
    return this.records[row + 1] ?? null;
  }
}

/** Records that are not blank: where each begins, ends, and the next line begins. Line ends within quotes are cells'. */
function recordsOf(text) {
  const records = [];
  let start = 0;
  let quoted = false;
  let cellStart = true;
  for (let at = 0; at <= text.length; at += 1) {
    const code = at < text.length ? text.charCodeAt(at) : LINE_FEED;
    if (quoted && at < text.length) {
      if (code === QUOTE) quoted = false;
      continue;
    }
    if (code === LINE_FEED) {
      if (text.slice(start, at).trim()) records.push({ start, end: at, next: Math.min(at + 1, text.length) });
      start = at + 1;
      cellStart = true;
    } else {
      // a quote opens a cell at its beginning alone; doubled ones close and open it again
      if (code === QUOTE && (cellStart || text.charCodeAt(at - 1) === QUOTE)) quoted = true;
      cellStart = SEPARATORS.has(code) || (cellStart && code === 32);
    }
  }
  return records;
}

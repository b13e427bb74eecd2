// A CSV as text. The service reads it; here rows are told from each other, and cells only as far as ids need it.

const QUOTE = '"';
const SEPARATORS = [",", ";", "\t"];

export class Table {
  /** @param {string} text @param {string} name of its file */
  constructor(text, name) {
    this.text = text.replaceAll(/\r\n?/g, "\n"); // as a textarea has it, so that places are the same
    this.name = name;
    // the first is the header's
    this.records = recordsOf(this.text);
    this.separator = separatorOf(this.textOf(0));
    /** Of its columns. */
    this.names = this.records.length ? cellsOf(this.textOf(0).replace(/^\uFEFF/, ""), this.separator) : [];
    this.groups = new Map();
  }

  /** How many rows there are below the header. */
  get rows() {
    return Math.max(0, this.records.length - 1);
  }

  textOf(record) {
    const { start, end } = this.records[record] ?? { start: 0, end: 0 };
    return this.text.slice(start, end);
  }

  /** The first `count` rows, by number. */
  range(count) {
    return Array.from({ length: Math.min(Math.max(count, 0), this.rows) }, (_, row) => row);
  }

  /** The rows of each text that is in a column, in the order in which they come. @returns {Map<string, number[]>} */
  rowsBy(name) {
    if (!this.groups.has(name)) {
      const groups = new Map();
      const column = this.names.indexOf(name);
      for (let row = 0; row < this.rows; row += 1) {
        const id = cellsOf(this.textOf(row + 1), this.separator, column + 1)[column] ?? "";
        if (!groups.has(id)) groups.set(id, []);
        groups.get(id).push(row);
      }
      this.groups.set(name, groups);
    }
    return this.groups.get(name);
  }

  /** The text of the header and of some rows, which are told in their order. */
  only(rows) {
    if (!this.records.length) return this.text;
    const runs = runsOf(rows).map(([first, last]) => this.text.slice(this.records[first + 1].start, this.records[last + 1].next));
    return this.text.slice(0, this.records[0].next) + runs.join("");
  }

  /** Lines of the rows that are not among these, from 1, as sed counts them: each stretch by its first and last. */
  linesBeside(rows) {
    const kept = new Set(rows);
    const beside = runsOf(this.range(this.rows).filter((row) => !kept.has(row)));
    let [line, place] = [1, 0];
    const lineOf = (next) => {
      for (; place < next; place += 1) if (this.text[place] === "\n") line += 1;
      return line;
    };
    return beside.map(([first, last]) => [lineOf(this.records[first + 1].start), lineOf(this.records[last + 1].end)]);
  }

  /** Where the text of a row begins and ends; rows count from 0 below the header, as in the API's pointers. */
  place(row) {
    return this.records[row + 1] ?? null;
  }
}

/** Numbers in their order, as stretches without a gap: [first, last]. */
function runsOf(numbers) {
  const runs = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run && run[1] === number - 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs;
}

/** As contract/tables.py: the commonest in the header. */
function separatorOf(header) {
  const bare = header.replaceAll(/"[^"]*"/g, "");
  const counts = SEPARATORS.map((each) => bare.split(each).length);
  return SEPARATORS[counts.indexOf(Math.max(...counts))];
}

/** The first `most` cells of a record, without their quotes, and the blanks before them. */
function cellsOf(record, separator, most = Infinity) {
  const cells = [];
  for (let at = 0; at <= record.length && cells.length < most; ) {
    while (record[at] === " ") at += 1;
    let cell = "";
    if (record[at] === QUOTE) {
      let end = record.indexOf(QUOTE, at + 1);
      while (end >= 0 && record[end + 1] === QUOTE) end = record.indexOf(QUOTE, end + 2);
      if (end < 0) end = record.length;
      cell = record.slice(at + 1, end).replaceAll('""', QUOTE);
      at = end + 1;
    }
    const end = record.indexOf(separator, at);
    const stop = end < 0 ? record.length : end;
    cells.push(cell + record.slice(at, stop));
    at = stop + 1;
  }
  return cells;
}

/** Records that are not blank: where each begins, ends, and the next line begins. Line ends within quotes are cells'. */
function recordsOf(text) {
  const records = [];
  let start = 0;
  let quoted = false;
  let cellStart = true;
  for (let at = 0; at <= text.length; at += 1) {
    const each = at < text.length ? text[at] : "\n";
    if (quoted && at < text.length) {
      if (each === QUOTE) quoted = false;
      continue;
    }
    if (each === "\n") {
      if (text.slice(start, at).trim()) records.push({ start, end: at, next: Math.min(at + 1, text.length) });
      start = at + 1;
      cellStart = true;
    } else {
      // a quote opens a cell at its beginning alone; doubled ones close and open it again
      if (each === QUOTE && (cellStart || text[at - 1] === QUOTE)) quoted = true;
      cellStart = SEPARATORS.includes(each) || (cellStart && each === " ");
    }
  }
  return records;
}

// A map of weights on a canvas: rows look at columns. The pointer or the arrow keys go from cell to cell.
import { colour, make } from "./dom.js";

const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const LARGEST_CELL = 34;
const CHARACTER = 6.2; // pixels, about
const HATCH = 7;
const LINE = 12;

/**
 * @typedef {object} Axis
 * @property {string} title
 * @property {number} length
 * @property {{at: number, label: string}[]} ticks positions that are labelled
 * @property {number} [divide] where a line is drawn between what was and what is ahead, if above 0
 * @property {boolean} [upright] labels of columns are turned, since there is one for each
 */

export class HeatMap {
  /**
   * @param {HTMLElement} parent
   * @param {object} what
   * @param {string} what.label for screen readers
   * @param {Axis} what.rows
   * @param {Axis} what.columns
   * @param {(number | null)[][]} what.weights by row
   * @param {boolean[] | null} what.selected rows that have weights; all of them, if null
   * @param {(cell: {row: number, column: number} | null) => void} what.onPoint
   */
  constructor(parent, { label, rows, columns, weights, selected, onPoint }) {
    Object.assign(this, { rows, columns, weights, selected, onPoint });
    this.most = Math.max(...weights.flat().map((weight) => weight ?? 0), 1e-6);
    this.cell = null;
    this.canvas = make("canvas", {
      class: "heat",
      role: "application",
      "aria-roledescription": "heat map",
      "aria-label": `${label}. Arrow keys go from cell to cell.`,
      tabindex: "0",
      pointermove: (event) => this.point(this.under(event)),
      pointerleave: () => this.point(null),
      keydown: (event) => this.onKey(event),
    });
    this.cells = cellsOf(weights, this.most);
    parent.append(this.canvas);
    this.sized = new ResizeObserver(() => this.resize(parent.clientWidth));
    this.sized.observe(parent);
    this.resize(parent.clientWidth);
  }

  destroy() {
    this.sized.disconnect();
    this.canvas.remove();
  }

  resize(width) {
    if (width <= 0 || width === this.width) return;
    this.width = width;
    const longest = Math.max(...this.rows.ticks.map(({ label }) => label.length));
    this.left = Math.min(CHARACTER * longest + 26, width / 3);
    this.top = 4;
    const below = this.columns.upright
      ? Math.min(CHARACTER * Math.max(...this.columns.ticks.map(({ label }) => label.length)), 120) + 26
      : 50;
    const cell = Math.min((width - this.left - 8) / this.columns.length, LARGEST_CELL);
    this.cellWidth = cell;
    this.cellHeight = Math.min(cell, Math.max(520 / this.rows.length, 3));
    this.across = cell * this.columns.length;
    this.down = this.cellHeight * this.rows.length;
    const height = this.top + this.down + below;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * devicePixelRatio);
    this.canvas.height = Math.round(height * devicePixelRatio);
    this.draw();
  }

  /** Show a cell, or the whole of a row where `column` is null, or nothing. Whoever calls is not told again. */
  mark(cell) {
    this.cell = cell;
    this.draw();
  }

  point(cell) {
    if (cell?.row === this.cell?.row && cell?.column === this.cell?.column) return;
    this.mark(cell);
    this.onPoint(cell);
  }

  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - this.left) / this.cellWidth);
    const row = Math.floor((event.clientY - box.top - this.top) / this.cellHeight);
    const within = column >= 0 && row >= 0 && column < this.columns.length && row < this.rows.length;
    return within ? { row, column } : null;
  }

  onKey(event) {
    const { row, column } = this.cell ?? { row: -1, column: 0 };
    const step = event.shiftKey ? 10 : 1;
    const [lastRow, lastColumn] = [this.rows.length - 1, this.columns.length - 1];
    const moves = {
      ArrowUp: [row - step, column],
      ArrowDown: [row + step, column],
      ArrowLeft: [row, column - step],
      ArrowRight: [row, column + step],
      Home: [row, 0],
      End: [row, lastColumn],
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") this.point(null);
    else if (moves[event.key]) {
      const [nextRow, nextColumn] = moves[event.key];
      this.point({ row: within(nextRow, lastRow), column: within(nextColumn ?? 0, lastColumn) });
    } else return;
    event.preventDefault();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.cells, this.left, this.top, this.across, this.down);
    this.hatch(context);
    this.divide(context);
    context.strokeStyle = colour("border");
    context.strokeRect(this.left - 0.5, this.top - 0.5, this.across + 1, this.down + 1);
    this.label(context);
    if (this.cell) this.frame(context);
  }

  /** Rows of queries that were not selected, which looked at nothing. */
  hatch(context) {
    if (!this.selected) return;
    context.save();
    context.beginPath();
    this.selected.forEach((selected, row) => {
      if (!selected) context.rect(this.left, this.top + row * this.cellHeight, this.across, this.cellHeight);
    });
    context.clip();
    context.fillStyle = colour("sunken");
    context.fillRect(this.left, this.top, this.across, this.down);
    context.strokeStyle = colour("hatch");
    context.beginPath();
    for (let x = this.left - this.down; x < this.left + this.across; x += HATCH) {
      context.moveTo(x, this.top + this.down);
      context.lineTo(x + this.down, this.top);
    }
    context.stroke();
    context.restore();
  }

  divide(context) {
    context.save();
    context.strokeStyle = colour("muted");
    context.setLineDash([2, 4]);
    context.beginPath();
    if (this.rows.divide > 0) {
      const y = this.top + this.rows.divide * this.cellHeight;
      context.moveTo(this.left, y);
      context.lineTo(this.left + this.across, y);
    }
    if (this.columns.divide > 0) {
      const x = this.left + this.columns.divide * this.cellWidth;
      context.moveTo(x, this.top);
      context.lineTo(x, this.top + this.down);
    }
    context.stroke();
    context.restore();
  }

  label(context) {
    context.font = FONT;
    context.fillStyle = colour("muted");
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const { at, label } of thinned(this.rows.ticks, this.cellHeight)) {
      context.fillText(label, this.left - 6, this.top + (at + 0.5) * this.cellHeight, this.left - 24);
    }
    const floor = this.top + this.down;
    for (const { at, label } of this.columns.upright ? thinned(this.columns.ticks, this.cellWidth) : this.columns.ticks) {
      const x = this.left + (at + 0.5) * this.cellWidth;
      if (this.columns.upright) turned(context, x, floor + 6, -Math.PI / 2, () => context.fillText(label, 0, 0, 120));
      else {
        context.textAlign = at < 2 ? "left" : at > this.columns.length - 3 ? "right" : "center";
        label.split("\n").forEach((line, index) => context.fillText(line, x, floor + 11 + 13 * index));
      }
    }
    context.textAlign = "center";
    const bottom = this.canvas.height / devicePixelRatio - 7;
    context.fillText(this.columns.title, this.left + this.across / 2, bottom);
    turned(context, 7, this.top + this.down / 2, -Math.PI / 2, () => context.fillText(this.rows.title, 0, 0));
  }

  frame(context) {
    const { row, column } = this.cell;
    const y = this.top + row * this.cellHeight;
    context.strokeStyle = colour("mark");
    context.lineWidth = 1.5;
    context.strokeRect(this.left, y, this.across, this.cellHeight);
    if (column !== null) context.strokeRect(this.left + column * this.cellWidth, this.top, this.cellWidth, this.down);
    context.lineWidth = 1;
  }
}

/** So many that they do not write over each other. */
function thinned(ticks, size) {
  const every = ticks.length > 1 ? Math.ceil(LINE / (size * (ticks[1].at - ticks[0].at))) : 1;
  return ticks.filter((_, index) => index % Math.max(every, 1) === 0);
}

const within = (place, last) => Math.min(Math.max(place, 0), last);

function turned(context, x, y, angle, draw) {
  context.save();
  context.translate(x, y);
  context.rotate(angle);
  draw();
  context.restore();
}

/** How strongly a weight is coloured, 0 to 1: its root, since most of a row's weights are small. */
export const strength = (weight, most) => Math.sqrt(Math.max(weight ?? 0, 0) / most);

/** A canvas with a pixel for each weight. */
export function cellsOf(weights, most) {
  const canvas = document.createElement("canvas");
  canvas.width = weights[0].length;
  canvas.height = weights.length;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const [red, green, blue] = colour("heat").split(",").map(Number);
  weights.flat().forEach((weight, at) => image.data.set([red, green, blue, 255 * strength(weight, most)], 4 * at));
  context.putImageData(image, 0, 0);
  return canvas;
}

/** What the colours mean: a bar from no weight to the largest one. */
export function scaleOf(most) {
  const bar = document.createElement("canvas");
  bar.className = "scale";
  bar.width = 120;
  bar.height = 1;
  const steps = Array.from({ length: bar.width }, (_, at) => (most * at) / (bar.width - 1));
  bar.getContext("2d").drawImage(cellsOf([steps], most), 0, 0);
  return make("span", { class: "colours" }, "0", bar, percent(most));
}

/** A weight for people. */
export const percent = (weight) => `${Number((100 * weight).toPrecision(3))} %`;

/** A picture of a head's whole map, small, to choose it by. */
export function thumbnail(weights, selected) {
  const most = Math.max(...weights.flat().map((weight) => weight ?? 0), 1e-6);
  const canvas = cellsOf(weights, most);
  const context = canvas.getContext("2d");
  context.fillStyle = colour("hatch");
  selected?.forEach((each, row) => each || context.fillRect(0, row, canvas.width, 1));
  canvas.className = "thumbnail";
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

// A chart of one column over time, drawn by uPlot, with what a canvas lacks: keys, and words for those who do not see it.
import { colour, make } from "./dom.js";
import { tickLabels } from "./stamps.js";

const HEIGHT = 168;
const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

let loading = null;

/** uPlot, which is no module: a script that is asked for when a chart is about to be, behind the page's first paint. */
export function plotting() {
  loading ??= new Promise((resolve, reject) => {
    const src = new URL("vendor/uPlot.iife.min.js", import.meta.url);
    const failed = () => reject(new Error("The plotting library cannot be loaded."));
    document.head.append(make("script", { src, load: resolve, error: failed }));
  });
  return loading;
}

/** Charts that share their time axis: a value read or a stretch zoomed in one is so in all. */
export class ChartGroup {
  constructor(onZoom = () => {}) {
    this.charts = [];
    this.onZoom = onZoom;
    this.busy = false;
  }

  add(chart) {
    this.charts.push(chart);
  }

  destroy() {
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
  }

  /** @param {number | null} index into the times, or none */
  point(index) {
    this.together(() => this.charts.forEach((chart) => chart.point(index)));
  }

  zoom(min, max) {
    this.together(() => this.charts.forEach((chart) => chart.plot.setScale("x", { min, max })));
    const [first] = this.charts;
    this.onZoom(first !== undefined && (min > first.times[0] || max < first.times.at(-1)));
  }

  zoomOut() {
    const [first] = this.charts;
    if (first) this.zoom(first.times[0], first.times.at(-1));
  }

  /** Around the pointed-at time, by a factor. */
  zoomBy(factor, around) {
    const { times, plot } = this.charts[0];
    const { min, max } = plot.scales.x;
    const least = 2 * (times[1] - times[0]);
    const half = Math.max(least, ((max - min) / 2) * factor);
    const centre = Math.min(Math.max(around, times[0] + half), times.at(-1) - half);
    if (2 * half >= times.at(-1) - times[0]) this.zoomOut();
    else this.zoom(centre - half, centre + half);
  }

  /** What charts do to each other is not done back. */
  together(work) {
    if (this.busy) return;
    this.busy = true;
    try {
      work();
    } finally {
      this.busy = false;
    }
  }
}

export class Chart {
  /**
   * @param {HTMLElement} parent
   * @param {ChartGroup} group
   * @param {object} what
   * @param {string} what.label of the chart, for screen readers
   * @param {number[]} what.times in seconds
   * @param {object[]} what.series uPlot's, with `values`
   * @param {object[]} [what.bands] uPlot's
   * @param {(plot: object) => void} [what.under] draws below the lines
   * @param {(index: number) => string} what.tell the values at a time, in words
   * @param {(index: number | null) => void} [what.onPoint]
   * @param {number} [what.least] that the values' axis reaches from 0, so that nothing is drawn as something
   */
  constructor(parent, group, { label, times, series, bands = [], under = () => {}, tell, onPoint = () => {}, least }) {
    this.group = group;
    this.times = times;
    this.tell = tell;
    this.onPoint = onPoint;
    this.index = null;
    this.frame = make("div", {
      class: "chart",
      tabindex: "0",
      role: "slider",
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": times.length - 1,
      keydown: (event) => this.onKey(event),
    });
    this.point(null);
    parent.append(this.frame);
    const grid = { stroke: colour("line"), width: 1 };
    const axis = { stroke: colour("muted"), font: FONT, grid, ticks: { show: false } };
    this.plot = new uPlot(
      {
        width: Math.max(160, this.frame.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        padding: [8, 22, 0, 0],
        cursor: { y: false, drag: { x: true, y: false }, points: { size: 6 }, focus: { prox: -1 } },
        scales: {
          x: { time: true, range: (plot, min, max) => [min, max] },
          y: least === undefined ? {} : { range: (plot, min, max) => [0, Math.max(least, 1.1 * max)] },
        },
        series: [{}, ...series.map(({ values, ...rest }) => rest)],
        bands,
        axes: [
          {
            ...axis,
            size: 36,
            space: 64,
            values: (plot, splits, _axis, _space, distance) => tickLabels(splits, distance),
          },
          { ...axis, size: 46, space: 28 },
        ],
        hooks: {
          drawClear: [under],
          setCursor: [(plot) => this.group.point(plot.cursor.idx ?? null)],
          setScale: [(plot, key) => key === "x" && this.zoomed(plot)],
        },
        tzDate: (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC"),
      },
      [times, ...series.map(({ values }) => values)],
      this.frame,
    );
    this.sized = new ResizeObserver(() => this.resize());
    this.sized.observe(this.frame);
    group.add(this);
  }

  destroy() {
    this.sized.disconnect();
    this.plot.destroy();
    this.frame.remove();
  }

  /** Other times and values, of the same series. */
  update(times, values) {
    this.times = times;
    this.frame.setAttribute("aria-valuemax", String(times.length - 1));
    this.plot.setData([times, ...values]);
    this.point(this.index);
  }

  resize() {
    const width = this.frame.clientWidth;
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.plot.height });
  }

  zoomed(plot) {
    const { min, max } = plot.scales.x;
    if (this.plot && min !== null) this.group.zoom(min, max);
  }

  /** Show what is there at an index into the times; none, and it is the chart's own words. */
  point(index) {
    this.index = index;
    this.frame.setAttribute("aria-valuenow", String(index ?? this.times.length - 1));
    this.frame.setAttribute("aria-valuetext", this.tell(index ?? this.times.length - 1));
    if (this.plot) {
      const left = index === null ? -10 : this.plot.valToPos(this.times[index], "x");
      if (this.plot.cursor.idx !== index) this.plot.setCursor({ left, top: index === null ? -10 : 10 }, false);
    }
    this.onPoint(index);
  }

  onKey(event) {
    const last = this.times.length - 1;
    const at = this.index ?? last;
    const step = event.shiftKey ? 10 : 1;
    const moves = {
      ArrowLeft: () => this.group.point(Math.max(0, at - step)),
      ArrowDown: () => this.group.point(Math.max(0, at - step)),
      ArrowRight: () => this.group.point(Math.min(last, at + step)),
      ArrowUp: () => this.group.point(Math.min(last, at + step)),
      Home: () => this.group.point(0),
      End: () => this.group.point(last),
      Escape: () => this.group.point(null),
      "+": () => this.group.zoomBy(0.5, this.times[at]),
      "=": () => this.group.zoomBy(0.5, this.times[at]),
      "-": () => this.group.zoomBy(2, this.times[at]),
      0: () => this.group.zoomOut(),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  }
}

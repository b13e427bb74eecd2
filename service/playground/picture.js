// The charts of a view in one PNG.
import { colour } from "./dom.js";

const GAP = 16;
const TITLE = 44;
const CAPTION = 24;

/**
 * @param {string} title
 * @param {{captions: [string, string], canvas: HTMLCanvasElement}[]} charts with a caption to the left and to the right
 * @returns {Promise<Blob>} two columns of them, at the screen's own resolution
 */
export function pictureOf(title, charts) {
  const scale = devicePixelRatio;
  const across = charts.length > 1 ? 2 : 1;
  const [width, height] = [charts[0].canvas.width / scale, charts[0].canvas.height / scale];
  const canvas = document.createElement("canvas");
  const down = Math.ceil(charts.length / across);
  canvas.width = scale * (across * (width + GAP) + GAP);
  canvas.height = scale * (TITLE + down * (height + CAPTION + GAP) + GAP);
  const context = canvas.getContext("2d");
  context.fillStyle = colour("paper");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.scale(scale, scale);
  context.textBaseline = "middle";
  write(context, title, GAP, TITLE / 2 + 4, { bold: true, size: 15 });
  charts.forEach(({ captions: [left, right], canvas: chart }, index) => {
    const x = GAP + (index % across) * (width + GAP);
    const y = TITLE + Math.floor(index / across) * (height + CAPTION + GAP);
    write(context, left, x, y + CAPTION / 2, { bold: true });
    write(context, right, x + width, y + CAPTION / 2, { align: "right" });
    context.drawImage(chart, x, y + CAPTION, chart.width / scale, chart.height / scale);
  });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function write(context, text, x, y, { bold = false, size = 12, align = "left" }) {
  context.font = `${bold ? "600 " : ""}${size}px system-ui, sans-serif`;
  context.fillStyle = colour(bold ? "ink" : "muted");
  context.textAlign = align;
  context.fillText(text, x, y);
}

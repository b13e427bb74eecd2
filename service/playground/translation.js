// One bundle's translation of a text, its alternatives, and the maps of where it looked.
import { postJson } from "./api.js";
import { scoreOf } from "./bundles.js";
import { make, offer } from "./dom.js";
import { offerHeads } from "./heads.js";
import { HeatMap, percent, scaleOf } from "./heatmap.js";

const KINDS = ["cross", "encoder", "decoder"];

export class Translation {
  /**
   * @param {HTMLElement} parent
   * @param {string} model
   * @param {object} manifest
   */
  constructor(parent, model, manifest) {
    this.model = model;
    this.spec = manifest.translate;
    this.head = 0;
    this.map = null;
    this.sentences = [];
    const id = `translation-${model.replaceAll(/[^a-z0-9]/g, "-")}`;
    const select = (name, text) => {
      this[name] = make("select", { id: `${id}-${name}`, change: () => this.draw() });
      return make("div", { class: "field" }, make("label", { for: `${id}-${name}` }, text), this[name]);
    };
    this.text = make("p", { class: "translated", lang: this.spec.target, "aria-live": "polite" });
    this.others = make("ul", { class: "alternatives", lang: this.spec.target, "aria-label": "Alternatives" });
    this.notice = make("p", { class: "notice", role: "status", hidden: true });
    this.heads = make("fieldset", { id: `${id}-heads`, class: "heads" }, make("legend", { class: "label" }, "Head"));
    this.reading = make("p", { class: "reading", "aria-live": "polite" });
    this.canvas = make("div", {});
    this.colours = make("p", {});
    this.maps = make(
      "div",
      { class: "translation", hidden: true },
      make("div", { class: "controls" }, select("sentence", "Sentence"), select("kind", "Map"), select("layer", "Layer")),
      this.heads,
      this.colours,
      this.reading,
      this.canvas,
    );
    this.element = make(
      "article",
      { class: "translation", "aria-labelledby": `${id}-title` },
      make("h3", { id: `${id}-title` }, manifest.name, make("span", { class: "unit" }, ` version ${manifest.version}${scoreOf(manifest)}`)),
      this.text,
      this.others,
      this.notice,
      this.maps,
    );
    parent.append(this.element);
  }

  remove() {
    this.map?.destroy();
    this.element.remove();
  }

  /**
   * The translation first, then the maps: that there are none, or too many, keeps no translation back.
   * @returns {Promise<import("./api.js").Problem | null>} what is wrong with the request
   */
  async ask(text, alternatives, signal) {
    const request = { q: text, source: this.spec.source, target: this.spec.target, model: this.model };
    try {
      const answer = await postJson("translate", { ...request, alternatives }, { signal });
      this.text.textContent = answer.translatedText;
      this.others.replaceChildren(...(answer.alternatives ?? []).map((other) => make("li", {}, other)));
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.show([]);
      this.text.textContent = "";
      this.others.replaceChildren();
      return error;
    }
    try {
      const { attention } = await postJson("translate", { ...request, attention: true }, { signal });
      this.notice.hidden = true;
      this.show(attention);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.show([]);
      this.notice.hidden = false;
      this.notice.textContent = error.faults?.map(({ message }) => message).join("; ") || error.message;
    }
    return null;
  }

  /** @param {{source: string[], target: string[]}[]} sentences with maps by kind, layer and head */
  show(sentences) {
    this.sentences = sentences;
    const texts = sentences.map(({ source }, index) => ({ value: index, text: `${index + 1}: ${spelt(source)}` }));
    offer(this.sentence, texts);
    this.draw();
  }

  draw() {
    this.map?.destroy();
    this.map = null;
    const told = this.sentences[Number(this.sentence.value)];
    this.maps.hidden = told === undefined;
    if (told === undefined) return;
    // the API leaves out kinds that the model does not have
    offer(this.kind, KINDS.filter((kind) => told[kind]?.length).map((kind) => ({ value: kind, text: kind })));
    const layers = told[this.kind.value];
    offer(this.layer, layers.map((_, layer) => ({ value: layer, text: layer })));
    const heads = layers[Number(this.layer.value)].map((weights, head) => ({ head, weights, selected: null }));
    this.head = Math.min(this.head, heads.length - 1);
    offerHeads(this.heads, heads, this.head, (chosen) => {
      this.head = chosen;
      this.draw();
    });
    this.drawMap(told, heads[this.head].weights);
  }

  drawMap(told, weights) {
    const kind = this.kind.value;
    // a row of the decoder's is that of the token behind it, which it is looking for
    const written = [...told.target.slice(1), this.spec.special.eos];
    const rows = kind === "encoder" ? told.source : written;
    const columns = kind === "decoder" ? told.target : told.source;
    const axis = (title, tokens) => ({
      title,
      length: tokens.length,
      ticks: tokens.map((token, at) => ({ at, label: token })),
      upright: true,
    });
    this.map = new HeatMap(this.canvas, {
      label: `${kind} attention of ${this.model}, layer ${this.layer.value}, head ${this.head}`,
      rows: axis(kind === "encoder" ? "token" : "token written", rows),
      columns: axis("token looked at", columns),
      weights,
      selected: null,
      onPoint: (cell) => (this.reading.textContent = cell ? readingOf(kind, rows, columns, weights, cell) : this.rest()),
    });
    this.colours.replaceChildren(scaleOf(this.map.most));
    this.reading.textContent = this.rest();
  }

  rest() {
    return "Point at a cell of the map, or go to it by the arrow keys.";
  }
}

function readingOf(kind, rows, columns, weights, { row, column }) {
  const who = kind === "encoder" ? rows[row] : `Writing ${rows[row]}`;
  return `${who}: ${percent(weights[row][column])} on ${columns[column]}`;
}

/** Tokens as a text: ▁ begins a word. */
const spelt = (tokens) => tokens.slice(1, -1).join(tokens.some((token) => token.startsWith("▁")) ? "" : " ").replaceAll("▁", " ").trim();

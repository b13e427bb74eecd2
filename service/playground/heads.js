// The heads of a layer to choose from, each with its map in small. Radio buttons: the arrow keys go through them.
import { make } from "./dom.js";
import { thumbnail } from "./heatmap.js";

/**
 * @param {HTMLElement} fieldset whose legend stays
 * @param {{head: number, weights: (number | null)[][], selected: boolean[] | null}[]} heads
 * @param {number} chosen
 * @param {(head: number) => void} choose
 */
export function offerHeads(fieldset, heads, chosen, choose) {
  const name = `${fieldset.id}-choice`;
  const focused = fieldset.contains(document.activeElement);
  const radios = heads.map(({ head, weights, selected }) => {
    const radio = make("input", {
      type: "radio",
      name,
      value: head,
      checked: head === chosen,
      change: () => choose(head),
    });
    return make("label", { class: "head" }, radio, thumbnail(weights, selected), make("span", {}, `head ${head}`));
  });
  fieldset.querySelectorAll(".head").forEach((old) => old.remove());
  fieldset.append(...radios);
  if (focused) fieldset.querySelector(":checked")?.focus();
}

/** @typedef {string | number | Node | null | undefined} Child */

/** The element of an id that index.html has. */
export const byId = (id) => document.getElementById(id);

/**
 * A new element. Functions are listeners; texts become text nodes, so nothing that a bundle, a table or an answer says
 * is ever read as markup.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] true is an attribute without a value; false and null leave it out
 * @param {...(Child | Child[])} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined).map(asNode));
  return element;
}

const asNode = (child) => (child instanceof Node ? child : document.createTextNode(String(child)));

/**
 * Let a select offer these, and keep what was chosen if it still is among them.
 * @returns {boolean} whether what is chosen now is another, or called otherwise
 */
export function offer(select, options) {
  const { value: before, selectedOptions: [chosen] } = select;
  select.replaceChildren(...options.map(({ value, text }) => make("option", { value }, text)));
  if (options.some(({ value }) => String(value) === before)) select.value = before;
  return select.selectedOptions[0]?.text !== chosen?.text;
}

/** A CSS custom property of the current theme. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** `work` once nothing has asked for it for `ms`. */
export function debounced(work, ms) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), ms);
  };
}

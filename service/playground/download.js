import { make } from "./dom.js";

/** Let the browser save `content` as a file. */
export function save(content, name, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  make("a", { href: url, download: name }).click();
  // the download has its own hold on it by then
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** @returns {Promise<void>} once `text` is in the clipboard, and `button` has said so. */
export async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // without a secure origin there is no clipboard: the line is beside the button, to be selected
    button.textContent = "Select it to copy";
  }
  setTimeout(() => (button.textContent = before), 1500);
}

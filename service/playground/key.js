// The API key, where the service asks for one: kept for this tab alone, never in an address or in what is copied.
import { byId } from "./dom.js";

const STORED = "seqcast-key";

let asked = null;

export const key = () => sessionStorage.getItem(STORED);

/**
 * Ask for a key, with what the API said; once, however many calls wait for it.
 * @returns {Promise<boolean>} whether one was given
 */
export function askForKey(detail) {
  asked ??= ask(detail).finally(() => (asked = null));
  return asked;
}

function ask(detail) {
  const dialog = byId("key-dialog");
  const input = byId("key");
  byId("key-problem").textContent = detail;
  input.value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (given) => {
      dialog.close();
      resolve(given);
    };
    byId("key-form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(STORED, input.value.trim());
      showForget();
      end(true);
    };
    byId("key-cancel").onclick = () => end(false);
    dialog.oncancel = () => resolve(false);
  });
}

function showForget() {
  byId("forget-key").hidden = key() === null;
}

export function startKeys() {
  showForget();
  byId("forget-key").addEventListener("click", () => {
    sessionStorage.removeItem(STORED);
    // what is on the page was told to that key
    location.reload();
  });
}

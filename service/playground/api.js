// Calls of the API, relative to the page: it works behind a path of a proxy too.
import { askForKey, key } from "./key.js";

/** What the API says of a request it refused: RFC 9457, with `errors` by JSON pointer. */
export class Problem extends Error {
  /** @param {{detail?: string, errors?: {pointer: string, message: string}[]}} content */
  constructor(status, content) {
    super(content.detail ?? content.error ?? `The service answered ${status}.`);
    this.status = status;
    this.faults = content.errors ?? [];
  }
}

/** The address of a path of the API, with a query. */
export function address(path, query = {}) {
  const url = new URL(path, document.baseURI);
  url.hash = "";
  url.search = new URLSearchParams(query).toString().replaceAll("%2C", ",");
  return url;
}

/**
 * @param {string} path
 * @param {{query?: Record<string, string>, body?: string, type?: string, accept?: string, signal?: AbortSignal}} [how]
 * @returns {Promise<Response>} a success. Throws Problem; AbortError once `signal` says so.
 */
export async function call(path, { query, body, type = "application/json", accept = "application/json", signal } = {}) {
  for (;;) {
    const used = key();
    const headers = { accept, ...(body === undefined ? {} : { "content-type": type }) };
    if (used !== null) headers.authorization = `Bearer ${used}`;
    const method = body === undefined ? "GET" : "POST";
    const answer = await fetch(address(path, query), { method, headers, body, signal }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, { detail: "The service does not answer." });
    });
    if (answer.ok) return answer;
    const problem = new Problem(answer.status, await answer.json().catch(() => ({})));
    const refused = answer.status === 401 || answer.status === 403;
    // another call may have been given a key meanwhile
    if (!refused || (used === key() && !(await askForKey(problem.message)))) throw problem;
  }
}

export const getJson = async (path, how) => (await call(path, how)).json();

export const postJson = async (path, content, how) =>
  (await call(path, { ...how, body: JSON.stringify(content) })).json();

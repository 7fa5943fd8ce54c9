// Talks to the server. Nothing here knows the page.

/** What the server says of a request that it does not answer. */
export class Refused extends Error {
  constructor(status, error) {
    super([error.problem, error.expected && `expected: ${error.expected}`, error.remedy].filter(Boolean).join("; "));
    this.status = status;
  }
}

let token = "";
/** The token of all requests from now on; "" is none. */
export function useToken(text) { token = text.trim(); }

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { problem: "The server does not answer." });
  }
  const document = await answer.json().catch(() => ({}));
  if (document.error) throw new Refused(answer.status, document.error);
  return document;
}

/** The models: [{name, task, model, score, explains, classes: [{name, colour, background}]}]. */
export async function models() { return (await ask("models")).models; }

function form(blob, name) {
  const body = new FormData();
  body.append("image", blob, name);
  return body;
}

/** The answer for one image: an entry of `predictions`. Objects come down to a low score, for the slider. */
export async function predict(model, blob, name, lowest, signal) {
  const query = new URLSearchParams({ model: model.name, score: lowest, include: "maps,outlines" });
  if (!hasOutlines(model.task)) query.set("include", "maps");
  const found = await ask(`predict?${query}`, { method: "POST", body: form(blob, name), signal });
  return found.predictions[0];
}

/** Heat maps of one image: entries of `explanations`. */
export async function explain(model, blob, name, signal) {
  const query = new URLSearchParams({ model: model.name });
  return (await ask(`explain?${query}`, { method: "POST", body: form(blob, name), signal })).explanations;
}

/** Whether the answers of a task have objects with outlines. */
export function hasOutlines(task) { return task === "instance_segmentation"; }

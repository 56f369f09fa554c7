// The server's JSON, and what is told when it says no.

export class Refused extends Error {
  // status 0: nobody answered.
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

let csrf = "";

async function call(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    throw new Refused("the server does not answer", 0);
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(body.error ?? `the server answers ${response.status}`, response.status);
  if (body.csrf) csrf = body.csrf;
  return body;
}

export const get = (path) => call(path, {});

const OUTLIVES = 30_000; // characters: browsers let a request of 64 KiB outlive its page

export function post(path, body = {}) {
  const text = JSON.stringify(body);
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
  return call(path, { method: "POST", headers, body: text, keepalive: text.length < OUTLIVES });
}

export const withQuery = (path, values) => {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== null && value !== ""));
  return query.size ? `${path}${path.includes("?") ? "&" : "?"}${query}` : path;
};

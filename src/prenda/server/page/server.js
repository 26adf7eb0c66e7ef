// Requests to the server. Addresses are relative, so the page also works behind a proxy that adds a path.

const PATIENCE = 120_000; // milliseconds for an answer
const LATER = [429, 502, 503, 504];
const TOKEN = "prenda.token";

/** The server does not answer, or asks to come back later. */
export class LaterError extends Error {
  constructor(seconds = 0, busy = false) {
    super("later");
    this.seconds = seconds;
    this.busy = busy;
  }
}

/** The server wants a token, or another one. */
export class TokenError extends Error {}

/** The server refuses a request; `texts` says why in both languages, if it is known. */
export class RefusedError extends Error {
  constructor(texts) {
    super("refused");
    this.texts = texts;
  }
}

let token = stored();

function stored() {
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return null; // the browser forbids storage
  }
}

export function hasToken() {
  return Boolean(token);
}

export function useToken(value) {
  token = value;
  try {
    sessionStorage.setItem(TOKEN, value);
  } catch {
    // the token then lasts until the page is closed
  }
}

export function askModel() {
  return request("model");
}

/** Return the answers for photos, in their order. */
export function askAnswers(files) {
  return request("predict?top=3&picture=true", form(files.map((file) => ["photos", file])));
}

export function sendCorrection(file, type) {
  return request("corrections", form([["photo", file], ["type", type]]));
}

/** Return whether the server answers at all. */
export async function isUp() {
  try {
    return (await fetch("healthz", { cache: "no-store", signal: AbortSignal.timeout(5_000) })).ok;
  } catch {
    return false;
  }
}

function form(fields) {
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  return { method: "POST", body };
}

async function request(address, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response, body;
  try {
    response = await fetch(address, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    body = await response.text();
  } catch {
    throw new LaterError();
  }
  if (response.status === 401) throw new TokenError();
  if (LATER.includes(response.status)) throw new LaterError(Number(response.headers.get("Retry-After")) || 0, true);
  const found = parsed(body);
  if (found && (response.ok || found.answers)) return found; // 422 has answers that say what is wrong with each photo
  throw new RefusedError(found?.error);
}

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return null; // a proxy's own page
  }
}

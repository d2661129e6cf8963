/* What all pages of the service do: they ask it, with the key that this tab keeps. A page defines
   `start`, which shows it, and `first`, which returns what people use first in it. */

const PATIENCE_MILLISECONDS = 20_000;
const KEY_NAME = "time-to-dispatch.api-key";
let key = keptKey();

const at = (id) => document.getElementById(id);
const write = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };
const twoDecimals = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "short", timeZone: "UTC" });
const percent = (share, digits = 1) => `${+(100 * share).toFixed(digits)}\u00a0%`;
const count = (number, noun) => `${plain.format(number)} ${noun}${number === 1 ? "" : "s"}`;
const short = (code) => code.length <= 40 ? code : `${code.slice(0, 28)}…${code.slice(-11)}`;
const element = (name, text = "", attributes = {}) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
};

function shape(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.textContent = text;
  return made;
}

function ago(time) {
  const minutes = Math.max(0, (Date.now() - new Date(time)) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${count(Math.floor(minutes), "minute")} ago`;
  if (minutes < 48 * 60) return `${count(Math.floor(minutes / 60), "hour")} ago`;
  return `${count(Math.floor(minutes / 60 / 24), "day")} ago`;
}

/* Asking the service */

class Failure extends Error {
  constructor(words, status) {
    super(words);
    this.status = status;
  }
}

/** Return the response to a GET, or to a POST if there is a body; raise a Failure in words for people. */
async function ask(path, signal, body) {
  const headers = {};
  if (key) headers["X-API-Key"] = key;
  if (body) headers["Content-Type"] = "application/json";
  const patience = AbortSignal.timeout(PATIENCE_MILLISECONDS);
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body, signal: AbortSignal.any([signal, patience]) });
  } catch {
    signal.throwIfAborted();
    const reason = patience.aborted ? `did not answer within ${PATIENCE_MILLISECONDS / 1000} seconds` : "cannot be reached";
    throw new Failure(`The service ${reason}. Check your connection, and try again.`);
  }
  if (response.ok) return response;
  if (response.status === 401) askForKey();
  throw new Failure(await inWords(response), response.status);
}

async function inWords(response) {
  const meaning = {
    401: key ? "The service did not accept the API key" : "The service asks for an API key",
    404: "The service does not have that",
    422: "The service did not accept the request",
    429: "The service gets too many requests; try again in a moment",
    503: "The service cannot answer at the moment; try again later",
  }[response.status] ?? `The service answered with an error (${response.status})`;
  const detail = detailOf(await response.json().catch(() => null));
  return detail ? `${meaning}: ${detail}` : `${meaning}.`;
}

/** Return the detail of a problem document (RFC 9457), or of an error in FastAPI's form. */
function detailOf(problem) {
  const detail = problem?.detail;
  return Array.isArray(detail) ? detail.map((fault) => fault.msg).join("; ") : detail;
}

/* The API key */

function keptKey() {
  try { return sessionStorage.getItem(KEY_NAME); } catch { return null; } // where storage is blocked
}

function askForKey() {
  if (!at("key-form").hidden) return;
  at("key-form").hidden = false;
  at("for-programs").hidden = true;
  at("key").focus();
}

at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value.trim();
  try { sessionStorage.setItem(KEY_NAME, key); } catch { /* kept for this page only */ }
  at("key-form").hidden = true;
  at("key").value = "";
  start().then(() => { if (at("key-form").hidden) first().focus(); }); // what had the focus is gone
});

/** Forget the key, and all that was shown with it. */
at("forget").addEventListener("click", () => {
  try { sessionStorage.removeItem(KEY_NAME); } catch { /* it was not kept */ }
  location.reload();
});

/* Reports */

/** Open a report in a new tab, which a plain link cannot do with a key. */
async function openReport(path, tab, signal) {
  try {
    const report = await (await ask(path, signal)).text();
    const { nonce } = document.querySelector("style"); // the tab inherits the policy of this page
    const allowed = report.replaceAll("<style", `<style nonce="${nonce}"`);
    tab.location = URL.createObjectURL(new Blob([allowed], { type: "text/html" }));
  } catch (problem) {
    tab.close();
    throw problem;
  }
}

// Asks the server once a second how it is, and shows the answer.

import { cellAt, drawBar, drawBatches, drawMatrix, drawMinute, element } from "./charts.js";

const at = (id) => document.getElementById(id);
const PERIOD_MS = 1000;
const LATEST = 5;

// --- numbers as people read them ---------------------------------------------------------

const whole = new Intl.NumberFormat("en");
const count = (n, noun) => `${whole.format(n)} ${noun}${n === 1 ? "" : noun.endsWith("h") ? "es" : "s"}`;

function size(bytes) {
  for (const [unit, scale] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (bytes >= 0.9995 * scale) return `${(bytes / scale).toPrecision(3)} ${unit}`;
  }
  return `${whole.format(Math.round(bytes))} B`;
}

function time(s) {
  if (s <= 0) return "0";
  if (s < 0.9995e-3) return `${(s * 1e6).toPrecision(3)} µs`;
  return s < 0.9995 ? `${(s * 1e3).toPrecision(3)} ms` : `${s.toPrecision(3)} s`;
}

function percent(part, all) {
  if (!(all > 0)) return "–";
  const value = (100 * part) / all;
  return value > 0 && value < 9.95 ? `${value.toFixed(1)} %` : `${Math.floor(value + 1e-9)} %`;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// --- the parts of the page -----------------------------------------------------------------

function showPill(kind, text) {
  const pill = at("pill");
  pill.dataset.kind = kind;
  write(pill, text);
}

function showState(status) {
  if (!status.live) showPill("bad", "Not live");
  else if (status.draining) showPill("warn", "Draining");
  else if (status.ready) showPill("good", "Ready");
  else showPill("warn", "Not ready");
  const stuck = status.stuck > 0 ? ` · ${count(status.stuck, "forward")} stuck` : "";
  write(at("about"), `on ${status.device}${stuck}`);
}

function showRequests(requests) {
  const sums = [0, 0, 0];
  for (const [, ...counts] of requests.recent) counts.forEach((n, i) => { sums[i] += n; });
  const [inTime, late, refused] = sums;
  const ended = inTime + late + refused;
  write(at("goodput"), ended ? percent(inTime, ended) : "–");
  write(at("goodput-more"), `${(inTime / 60).toFixed(1)} a second; ${whole.format(requests.in_time)} since the start`);
  write(at("lost"), whole.format(late + refused));
  const reasons = Object.entries(requests.refused).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  const words = reasons.map(([reason, n]) => `${reason.replaceAll("_", " ")} ${whole.format(n)}`);
  if (requests.late > 0) words.unshift(`late ${whole.format(requests.late)}`);
  write(at("lost-more"), `since the start: ${words.join(", ") || "none"}`);
  write(at("waiting"), whole.format(requests.waiting));
  write(at("waiting-more"), `${whole.format(requests.in_flight)} in flight of ${whole.format(requests.received)} received`);
  write(at("moved"), percent(requests.bytes_moved, requests.bytes_asked));
  const failed = requests.failed_batches > 0 ? `, ${whole.format(requests.failed_batches)} failed` : "";
  write(at("moved-more"), `${size(requests.bytes_moved)} of ${size(requests.bytes_asked)} in ${count(requests.batches, "batch")}${failed}`);
  const most = drawMinute(at("minute"), requests.recent);
  write(at("minute-most"), ended ? `full height: ${count(most, "request")} a second` : "no request in the last minute");
  at("minute").setAttribute("aria-label", `In the last minute ${inTime} in time, ${late} late, ${refused} refused`);
}

function showMemory(memory) {
  const budget = memory.budget_bytes;
  const all = budget ?? Math.max(1, memory.resident_bytes);
  const other = Math.max(0, memory.resident_bytes - memory.shared_bytes - memory.own_bytes);
  const share = (bytes) => (all > 0 ? bytes / all : 0);
  write(at("memory"), size(memory.resident_bytes));
  write(at("memory-of"), (budget === null ? "without a limit" : `of ${size(budget)} (${percent(memory.resident_bytes, budget)})`) + `, ${count(memory.resident_blocks, "block")}`);
  drawBar(at("memory-bar"), [["shared", share(memory.shared_bytes)], ["own", share(memory.own_bytes)], ["other", share(other)]]);
  at("memory-bar").setAttribute("aria-label", `${size(memory.resident_bytes)} in memory, ${budget === null ? "no limit" : `limit ${size(budget)}`}`);
  write(at("memory-shared"), size(memory.shared_bytes));
  write(at("memory-own"), size(memory.own_bytes));
  write(at("memory-other"), size(other));
  const known = memory.shared_bytes + memory.own_bytes;
  write(at("memory-saved"), memory.whole_bytes > known
    ? `Each model by itself would need ${size(memory.whole_bytes)} for the same blocks, ${(memory.whole_bytes / known).toFixed(1)} times as much.`
    : "");
}

function describe(batch) {
  const [loadFrom, loadTo] = batch.load_ago_s;
  const [from, to] = batch.compute_ago_s;
  const error = batch.error ? `; ${batch.error}` : "";
  return `${batch.model}: ${count(batch.requests, "request")}, ${size(batch.bytes_moved)} of ${size(batch.bytes_asked)} moved in ${time(loadFrom - loadTo)}, computed in ${time(from - to)}${error}`;
}

function showBatches(status) {
  const { batches, timeline_s: seconds } = status;
  drawBatches(at("batches"), batches, seconds, describe);
  at("batches").setAttribute("aria-label", `${count(batches.length, "batch")} in the last ${seconds} seconds; the latest are in the table below`);
  write(at("batches-from"), `${seconds} s ago`);
  const doing = [["computing", status.computing], ["loading", status.loading]].filter(([, model]) => model !== null);
  write(at("now"), doing.length ? doing.map(([word, model]) => `${word} ${model}`).join(", ") : "idle");
  const rows = batches.slice(-LATEST).reverse().map((batch) => {
    const error = element("td", { className: "error", title: batch.error }, batch.error);
    const numbers = [
      whole.format(batch.requests), size(batch.bytes_moved), size(batch.bytes_asked),
      time(batch.load_ago_s[0] - batch.load_ago_s[1]), time(batch.compute_ago_s[0] - batch.compute_ago_s[1]), time(batch.planned_s),
    ];
    return element("tr", {}, element("td", { title: batch.model }, batch.model), ...numbers.map((text) => element("td", { className: "n" }, text)), error);
  });
  at("recent").replaceChildren(...rows);
}

// --- models: rows stay in place, so that reading, selecting and scrolling are not disturbed ---

const rows = new Map();

function newRow(name) {
  const meter = () => element("div", { className: "share" }, element("div", { className: "bar" }), element("span", { className: "n" }));
  const row = element("tr", {},
    element("td", { title: name }, name, element("div", { className: "reason" })), element("td", { className: "mark" }), element("td", { className: "n" }),
    element("td", {}, meter()), element("td", {}, meter()), element("td", { className: "n" }));
  rows.set(name, row);
  return row;
}

function fillMeter(cell, kind, part, all) {
  const [bar, text] = cell.firstChild.children;
  drawBar(bar, [[kind, all > 0 ? part / all : 0]]);
  write(text, percent(part, all));
}

function fillRow(row, model) {
  const [name, state, bytes, shared, resident, waiting] = row.children;
  const word = model.state.toLowerCase();
  state.className = `mark ${word === "ready" ? "ready" : "unavailable"}`;
  write(state, word);
  write(name.lastChild, model.reason);
  write(bytes, size(model.bytes));
  fillMeter(shared, "shared", model.shared_bytes, model.bytes);
  fillMeter(resident, "in-time", model.resident_bytes, model.bytes);
  write(waiting, model.waiting ? whole.format(model.waiting) : "");
}

function showModels(models) {
  const body = at("models");
  const wanted = at("find").value.toLowerCase();
  const there = new Set(models.map((model) => model.name));
  for (const [name, row] of rows) {
    if (!there.has(name)) { row.remove(); rows.delete(name); }
  }
  models.forEach((model, i) => {
    const row = rows.get(model.name) ?? newRow(model.name);
    if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null);
    fillRow(row, model);
    row.hidden = !model.name.toLowerCase().includes(wanted);
  });
  const ready = models.filter((model) => model.state === "READY").length;
  write(at("models-count"), models.length ? `${whole.format(ready)} of ${whole.format(models.length)} ready` : "");
  at("models-none").hidden = models.length > 0;
}

// --- sharing: asked for only when the models change -------------------------------------------

let sharing = null;

function showSharing() {
  const { models, families, distinct_bytes: distinct, whole_bytes: all, left_out: left } = sharing;
  const total = models.length + left;
  const words = `${count(total, "model")} of ${size(all)} are ${size(distinct)} of distinct blocks.`;
  write(at("sharing"), total ? words : "No models.");
  at("matrix").setAttribute("aria-label", `Matrix of ${count(models.length, "model")}: the share of each that another one holds too. In words below.`);
  write(at("matrix-at"), total === 0 ? "" : left ? `The first ${models.length} models; ${left} are left out.` : "Row by column: the darker, the more of the row's model the column's one holds.");
  drawMatrix(at("matrix"), sharing.percent);
  at("families").replaceChildren(...families.map((family) => element("li", {},
    family.models === 1 ? `${family.first} alone` : `${family.first} and ${whole.format(family.models - 1)} more`,
    element("span", {}, family.models === 1
      ? `${size(family.whole_bytes)}, shared with nobody`
      : `${size(family.distinct_bytes)} instead of ${size(family.whole_bytes)}; ${size(family.common_bytes)} in all of them`))));
}

function pointAt(event) {
  if (!sharing?.models.length) return;
  const [i, j] = cellAt(at("matrix"), event, sharing.models.length);
  const [row, column] = [sharing.models[i], sharing.models[j]];
  write(at("matrix-at"), i === j ? row : `${column} holds ${sharing.percent[i][j]} % of ${row}`);
}

// --- asking ---------------------------------------------------------------------------------

let heard = null; // when the server last answered
let last = null; // what it said

const TOKEN = "trunkline-token";

async function get(path) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (answer.status === 401 || answer.status === 403) askForToken();
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer;
}

const ask = async (path) => (await get(path)).json();

// A link carries no token: where there is one, the page fetches what the link leads to.
async function followWithToken(event) {
  if (!sessionStorage.getItem(TOKEN)) return;
  event.preventDefault();
  const path = event.currentTarget.getAttribute("href");
  const content = URL.createObjectURL(await (await get(path)).blob());
  element("a", { href: content, download: path.includes(".") ? path : `${path}.txt` }).click();
  setTimeout(() => URL.revokeObjectURL(content), 60000);
}

function askForToken() {
  sessionStorage.removeItem(TOKEN);
  if (!at("ask").open) at("ask").showModal();
}

function show(status) {
  last = status;
  showState(status);
  showRequests(status.requests);
  showMemory(status.memory);
  showBatches(status);
  showModels(status.models);
  document.title = `${status.requests.waiting ? `(${whole.format(status.requests.waiting)}) ` : ""}Trunkline`;
}

function showGone() {
  if (at("ask").open) return showPill("warn", "Token needed");
  const silent = heard === null ? "" : ` for ${Math.round((performance.now() - heard) / 1000)} s`;
  showPill("bad", `No answer${silent}`);
  at("main").dataset.stale = "";
}

async function poll() {
  try {
    if (!document.hidden) {
      const status = await ask("status.json");
      if (sharing?.key !== status.library) { sharing = await ask("sharing.json"); showSharing(); }
      heard = performance.now();
      delete at("main").dataset.stale;
      at("main").removeAttribute("aria-busy");
      show(status);
    }
  } catch (error) {
    showGone();
    if (!(error instanceof TypeError || error instanceof DOMException || /^\d+$/.test(error.message))) console.error(error);
  }
  setTimeout(poll, PERIOD_MS);
}

function redraw() {
  if (last) showBatches(last);
  if (sharing) showSharing();
}

at("find").addEventListener("input", () => { if (last) showModels(last.models); });
at("matrix").addEventListener("pointermove", pointAt);
at("matrix").addEventListener("pointerleave", () => { if (sharing) showSharing(); });
at("ask-form").addEventListener("submit", () => sessionStorage.setItem(TOKEN, at("token").value));
for (const link of document.querySelectorAll("nav a")) link.addEventListener("click", followWithToken);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", redraw);
poll();

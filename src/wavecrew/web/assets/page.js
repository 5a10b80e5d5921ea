// The live part of the page. All texts reach it as data and leave it as text nodes; it writes no HTML.
const $ = (id) => document.getElementById(id);
const body = document.body;
const root = document.documentElement;
const run = body.dataset.run;
const base = `/api/run/${encodeURIComponent(run)}`;
const readOnly = "readOnly" in body.dataset;
const rows = []; // by the number of the phase
const lanes = new Map(); // key -> bars
const drawn = new Map(); // key -> elements of a lane
let head = null;
let locks = [];
let seq = Number(body.dataset.seq);
let skew = 0; // the clock of the server less ours, in seconds
let selected = null;
let tab = "log";
let wish = null; // what the dialog is about

root.classList.add("live");

// -- small things

const SVG = "http://www.w3.org/2000/svg";
function make(tag, props = {}, ...children) {
  const one = props.svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "svg") continue;
    if (name === "on") for (const [kind, act] of Object.entries(value)) one.addEventListener(kind, act);
    else if (value !== undefined && value !== null && value !== false) one.setAttribute(name, value === true ? "" : value);
  }
  one.append(...children.filter((child) => child !== "" && child !== null && child !== undefined));
  return one;
}
function put(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
const now = () => Date.now() / 1000 + skew;
const slug = (standing) => standing.replaceAll(" ", "-");
function seconds(amount) {
  if (amount === null || amount === undefined) return "unknown";
  if (amount < 59.95) return `${Math.max(0, amount).toFixed(1)}s`;
  const whole = Math.round(amount);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  const hours = Math.floor(whole / 3600);
  return hours < 48 ? `${hours}h${two(Math.floor(whole / 60) % 60)}m` : `${Math.floor(hours / 24)}d${two(hours % 24)}h`;
}
const quote = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);
const keep = {
  get: (name) => { try { return localStorage.getItem(name); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(name, value); } catch { /* a comfort only */ } },
};
const boxes = [...document.querySelectorAll("#graph .b")];
const numberOf = (element) => Number(element.id.slice(1));
const boxOf = new Map(boxes.map((box) => [numberOf(box), box]));
const lineOf = new Map([...document.querySelectorAll("#table tbody tr")].map((line) => [numberOf(line), line]));
const nameOf = new Map([...lineOf].map(([n, line]) => [n, line.cells[1].textContent]));
const needsOf = new Map(boxes.map((box) => [numberOf(box), box.dataset.needs.split(" ").filter(Boolean).map(Number)]));
const order = boxes.map(numberOf);

// -- what comes from the server

let source = null;
let lost = 0;
function listen() {
  source?.close();
  source = new EventSource(`${base}/events${rows.length ? `?after=${seq}` : ""}`);
  source.addEventListener("news", (event) => { heard(); take(JSON.parse(event.data)); });
  source.addEventListener("trouble", (event) => { heard(); trouble(JSON.parse(event.data).words); });
  source.onerror = () => {
    lost += 1;
    if (head?.over) trouble("The run is over, and its page has ended. See it again with: wavecrew web");
    else if (lost > 1) trouble("The page has lost its server and tries again. Start it again with: wavecrew web");
    if (source.readyState === EventSource.CLOSED) refused();
  };
}
async function refused() {
  setTimeout(listen, 3000);
  const answer = await fetch(base).catch(() => null);
  if (answer?.status === 401) trouble("This page has another key now. Open the link that `wavecrew web` prints.");
  else if (answer?.ok) trouble("Too many pages look at once. This one waits for another to be closed.");
  else if (answer) trouble((await answer.json().catch(() => ({ error: "The server is in trouble." }))).error);
}
function heard() {
  lost = 0;
  trouble("");
}
function goWhereItHappens() {
  const n = order.find((one) => ["running", "merging", "waiting", "failed"].includes(rows[one]?.s));
  if (n === undefined) return;
  for (const [holder, one] of [[$("picture"), boxOf.get(n)], [$("list"), lineOf.get(n)]]) {
    const [outer, inner] = [holder.getBoundingClientRect(), one.getBoundingClientRect()];
    holder.scrollBy(inner.left - outer.left - outer.width / 3, inner.top - outer.top - outer.height / 2);
  }
  $("lanes").scrollTop = $("lanes").scrollHeight;
}
function trouble(words) {
  put($("trouble"), words);
  $("trouble").hidden = !words;
}
function take(news) {
  skew = news.now - Date.now() / 1000;
  seq = news.seq;
  if (news.head) {
    if (news.head.digest !== body.dataset.digest) return location.reload(); // the plan is another one
    head = news.head;
    showHead();
  }
  for (const [n, row] of Object.entries(news.rows ?? {})) {
    rows[n] = row;
    showRow(Number(n));
  }
  for (const [key, bars] of Object.entries(news.lanes ?? {})) lanes.set(key, bars);
  if (news.lanes) showLanes(Object.keys(news.lanes));
  if (news.needs) showNeeds(news.needs);
  if (news.locks) { locks = news.locks; showLocks(); }
  if (news.anew) $("facts").replaceChildren();
  showFacts(news.facts);
  if (selected !== null && news.rows?.[selected]) showPhase();
  tick();
  if (!body.dataset.live) goWhereItHappens();
  body.dataset.live = String(seq);
}

// -- head

function showHead() {
  put($("status"), head.status + (head.paused && head.alive ? ", paused" : ""));
  $("counted").className = `status-${slug(head.status)}`;
  put($("counts"), head.counted.join(" · "));
  put($("left"), [head.left, head.pacing && `pacing: ${head.pacing}`].filter(Boolean).join(" · "));
  put($("used"), [head.used && `${head.left ? "· " : ""}${head.used}`, head.budget && `budget ${head.budget}`].filter(Boolean).join(" · "));
  $("bar").max = Math.max(1, head.total);
  $("bar").value = head.done;
  $("notes").replaceChildren(...head.notes.map((words) => make("p", {}, words)));
  $("next").replaceChildren(...head.next.map((words) => make("li", {}, make("code", {}, words), " ", copier(words))));
  $("result").replaceChildren(head.result ? make("p", {}, `Result: ${head.result}`) : "");
  const calls = head.needed ? `(${head.needed}) ` : "";
  document.title = `${calls}${head.done}/${head.total} ${head.status} · wavecrew ${run}`;
  if (readOnly) return;
  put($("pause"), head.paused ? "Continue" : "Pause");
  $("pause").disabled = head.over || (!head.alive && !head.paused);
  $("stop").disabled = head.over || !head.alive;
}
function copier(words) {
  return make("button", { type: "button", "aria-label": `copy ${words}`, on: { click: (event) => copy(words, event.target) } }, "Copy");
}
async function copy(words, button) {
  try {
    await navigator.clipboard.writeText(words);
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  } catch { say("The browser does not allow to copy; mark the text instead."); }
}

// -- phases

function timeOf(row) {
  return row.from !== undefined ? seconds(now() - row.from) : row.took ?? "";
}
function showRow(n) {
  const row = rows[n];
  const line = lineOf.get(n);
  const state = slug(row.s);
  if (line) {
    line.className = `st-${state}${n === selected ? " sel" : ""}`;
    line.querySelector(".sg use").setAttribute("href", `#s-${state}`);
    put(line.cells[2].querySelector("span"), row.s);
    put(line.cells[3], row.tries ? String(row.tries) : "");
    put(line.cells[5], row.why ?? "");
  }
  const box = boxOf.get(n);
  if (box) {
    box.setAttribute("class", `b st-${state}${box.classList.contains("k") ? " k" : ""}${n === selected ? " sel" : ""}`);
    box.querySelector(".sg").setAttribute("href", `#s-${state}`);
    box.setAttribute("aria-label", `${nameOf.get(n)}, ${row.s}${row.why ? `, ${row.why}` : ""}`);
  }
  filterOne(n);
  showTime(n);
}
function showTime(n) {
  const row = rows[n];
  const time = timeOf(row);
  const line = lineOf.get(n);
  if (line) put(line.cells[4], time);
  const box = boxOf.get(n);
  if (box) put(box.querySelector(".w"), row.waits !== undefined ? `${row.s} ${seconds(now() - row.waits)}` : `${row.s}${time && ` ${time}`}`);
}
for (const [n, line] of lineOf) {
  const cell = line.cells[1];
  cell.replaceChildren(make("button", { type: "button", on: { click: () => select(n, true) } }, cell.textContent));
}
for (const box of boxes) {
  box.setAttribute("role", "button");
  box.setAttribute("tabindex", "-1");
  box.addEventListener("click", () => select(numberOf(box), true));
  box.addEventListener("keydown", (event) => boxKey(event, numberOf(box)));
}
if (boxes.length) boxes[0].setAttribute("tabindex", "0");
function boxKey(event, n) {
  const wave = order.filter((other) => lineOf.get(other).cells[0].textContent === lineOf.get(n).cells[0].textContent);
  const beside = (step) => wave[wave.indexOf(n) + step];
  const goals = {
    ArrowLeft: () => needsOf.get(n)[0],
    ArrowRight: () => order.find((other) => needsOf.get(other).includes(n)),
    ArrowUp: () => beside(-1),
    ArrowDown: () => beside(1),
    Home: () => order[0],
    End: () => order.at(-1),
  };
  if (event.key === "Enter" || event.key === " ") select(n, true);
  else if (event.key in goals) {
    const goal = goals[event.key]();
    if (goal !== undefined) focusBox(goal);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}
function focusBox(n) {
  for (const box of boxes) box.setAttribute("tabindex", "-1");
  boxOf.get(n).setAttribute("tabindex", "0");
  boxOf.get(n).focus();
}
function filterOne(n) {
  const words = $("filter").value.trim().toLowerCase();
  const fits = !words || `${nameOf.get(n)} ${rows[n]?.s ?? ""} ${rows[n]?.why ?? ""}`.toLowerCase().includes(words);
  lineOf.get(n).hidden = !fits;
  boxOf.get(n)?.classList.toggle("dim", !fits);
}
$("filter").addEventListener("input", () => { for (const n of lineOf.keys()) filterOne(n); });
function showAs(kind) {
  $("picture").hidden = kind === "table";
  $("list").hidden = kind !== "table";
  $("fit").hidden = kind === "table";
  $("as-graph").setAttribute("aria-pressed", String(kind !== "table"));
  $("as-table").setAttribute("aria-pressed", String(kind === "table"));
}
for (const kind of ["graph", "table"]) {
  $(`as-${kind}`).addEventListener("click", () => { keep.set("wavecrew-plan", kind); showAs(kind); });
}
$("fit").addEventListener("click", () => $("fit").setAttribute("aria-pressed", String($("picture").classList.toggle("fit"))));
showAs(keep.get("wavecrew-plan") ?? (innerWidth < 760 ? "table" : "graph"));
document.querySelector(".skip").addEventListener("click", () => showAs("table"));

// -- time

const KINDS = { pacing: "paced the run", work: "other work", vain: "did not succeed", lock: "waits for a lock", human: "waits for a person" };
const TALL = { pacing: { y: 0.5, height: 9 }, work: { y: 2.5, height: 5 }, vain: { y: 1.5, height: 7 } };
function shape(kind, from, to) {
  const line = kind === "lock" || kind === "human";
  return line
    ? make("line", { svg: true, class: kind, x1: from, x2: to, y1: 5, y2: 5 })
    : make("rect", { svg: true, class: kind, x: from, width: Math.max(0, to - from), ...TALL[kind] });
}
function ranTo() {
  return head?.since !== null && head ? now() - head.since : Math.max(1, ...[...lanes.values()].flat().map((bar) => bar[1] ?? bar[0]));
}
function showLanes(changed) {
  const wall = ranTo();
  for (const key of changed) {
    const n = /^\d+$/.test(key) ? Number(key) : null;
    if (!drawn.has(key)) {
      const picture = make("svg", { svg: true, preserveAspectRatio: "none", "aria-hidden": "true" });
      const name = n === null ? make("span", {}, key) : make("button", { type: "button", title: nameOf.get(n), on: { click: () => select(n, true) } }, nameOf.get(n));
      drawn.set(key, { lane: make("div", { class: "lane" }, name, picture, make("span", { class: "num" })), picture, open: [] });
    }
    const one = drawn.get(key);
    one.open = [];
    one.picture.replaceChildren(...lanes.get(key).map((bar) => {
      const [from, to, kind, attempt, words] = bar;
      const drawing = shape(kind, from, to ?? wall);
      const told = `${KINDS[kind]}${attempt ? `, attempt ${attempt}` : ""}${to === null ? "" : `, ${seconds(to - from)}`}${words ? `: ${words}` : ""}`;
      drawing.append(make("title", { svg: true }, told));
      if (to === null) one.open.push([drawing, from]);
      return drawing;
    }));
  }
  const first = (key) => lanes.get(key)[0][0];
  const sorted = [...drawn.keys()].sort((a, b) => first(a) - first(b));
  $("lanes").replaceChildren(axis, ...sorted.map((key) => drawn.get(key).lane));
}
const zoom = make("select", { id: "zoom", "aria-label": "stretch of time" }, ...[["0", "whole run"], ["600", "last 10 min"], ["3600", "last hour"]].map(([value, words]) => make("option", { value }, words)));
zoom.addEventListener("change", () => tick());
const scale = make("div");
const axis = make("div", { class: "lane axis" }, make("span"), scale, make("span"));
$("h-time").after(make("p", { class: "tools" }, zoom));
$("lanes").after(make("p", { class: "keyline" }, ...Object.entries(KINDS).map(([kind, words]) => make("span", {}, legend(kind), ` ${words}`))));
function legend(kind) {
  return make("span", { class: "lane keys" }, make("svg", { svg: true, viewBox: "0 0 26 10", "aria-hidden": "true" }, shape(kind, 0, 26)));
}
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 86400, 172800];
function showScale() {
  const wall = Math.max(0.1, ranTo());
  const window_ = Number(zoom.value);
  const from = window_ && wall > window_ ? wall - window_ : 0;
  const span = wall - from;
  for (const { picture, open, lane } of drawn.values()) {
    picture.setAttribute("viewBox", `${from} 0 ${span} 10`);
    for (const [drawing, begin] of open) {
      if (drawing.tagName === "line") drawing.setAttribute("x2", wall);
      else drawing.setAttribute("width", Math.max(0, wall - begin));
    }
    lane.hidden = false;
  }
  for (const [key, { lane }] of drawn) {
    const n = /^\d+$/.test(key) ? Number(key) : null;
    put(lane.lastChild, n !== null && rows[n] ? timeOf(rows[n]) : "");
  }
  const room = scale.clientWidth || 300;
  const step = STEPS.find((one) => (one / span) * room > 64) ?? 604800;
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= wall; at += step) {
    const mark = make("i", {}, step < 1 ? `${at.toFixed(1)}s` : seconds(at).replace(/\.0s$/, "s").replace(/m00s$/, "m").replace(/h00m$/, "h"));
    mark.style.left = `${((at - from) / span) * 100}%`;
    if ((wall - at) / span * room > 40 || at === 0) marks.push(mark);
  }
  scale.replaceChildren(...marks);
}

// -- locks, needs, events

function showLocks() {
  const age = (since) => (since === null ? "" : ` ${seconds(now() - since)}`);
  const items = locks.map((lock) => make("li", {},
    make("code", {}, lock.what), ` ${lock.mode} `, make("b", {}, lock.who), make("span", { class: "num" }, age(lock.since)),
    lock.owner ? make("span", { class: "waiter" }, `${lock.owner}: ${lock.reason} `, readOnly ? "" : breaker(lock)) : "",
    ...(lock.waiters ?? []).map((waiter) => make("span", { class: "waiter" }, `← ${waiter.who} waits`, make("span", { class: "num" }, age(waiter.since)), waiter.owner ? ` (${waiter.owner})` : ""))));
  if (!items.length) items.push(make("li", { class: "soft" }, "No lock is held."));
  const held = document.activeElement?.closest?.("#locks")?.querySelectorAll("button") ?? [];
  const place = [...held].indexOf(document.activeElement);
  $("locks").replaceChildren(...items);
  if (place >= 0) $("locks").querySelectorAll("button")[place]?.focus();
}
// A living owner keeps its lock, so no button is offered; the server asks once more.
function breaker(lock) {
  return make("button", { type: "button", class: "harm", on: { click: () => askFor("break", null, null, { lock }) } }, "Break…");
}
function showNeeds(needs) {
  $("needs").hidden = !needs.length;
  $("needed").replaceChildren(...needs.map((one) => {
    const buttons = [];
    if (one.gate !== undefined && !readOnly) {
      buttons.push(make("button", { type: "button", on: { click: () => askFor("approve", null, one.gate, { name: one.name }) } }, "Approve"));
      buttons.push(make("button", { type: "button", class: "harm", on: { click: () => askFor("reject", null, one.gate, { name: one.name }) } }, "Reject…"));
    }
    if (one.question !== undefined && !readOnly) buttons.push(make("button", { type: "button", on: { click: () => askFor("answer", one.n, null, { question: one.question, words: one.words, command: one.command }) } }, "Answer…"));
    if (one.n !== undefined) buttons.push(make("button", { type: "button", on: { click: () => select(one.n, true) } }, "Look"));
    return make("li", {}, make("span", {}, make("b", {}, one.name), ` ${one.words}`), ...buttons, make("code", {}, one.command));
  }));
}
let spokenAt = 0;
let toSay = "";
let speaking = null; // at most one sentence in five seconds
function say(words) {
  toSay = words;
  const wait = Math.max(0, 5000 - (Date.now() - spokenAt));
  speaking ??= setTimeout(() => {
    put($("told"), toSay);
    speaking = null;
    spokenAt = Date.now();
  }, wait);
}
function showFacts(facts) {
  if (!facts.length) return;
  const items = facts.map(([number, words]) => make("li", { "data-seq": number }, words));
  $("facts").prepend(...items.reverse());
  while ($("facts").children.length > 300) $("facts").lastChild.remove();
  say(facts.at(-1)[1]);
}

// -- one phase

function select(n, look) {
  for (const old of [boxOf.get(selected), lineOf.get(selected)]) old?.classList.remove("sel");
  selected = n;
  boxOf.get(n)?.classList.add("sel");
  lineOf.get(n)?.classList.add("sel");
  $("phase").hidden = false;
  $("attempt").replaceChildren();
  showPhase();
  showText(true);
  if (look) $("phase").scrollIntoView({ block: "nearest" });
}
function showPhase() {
  const row = rows[selected];
  if (!row) return;
  put($("h-phase"), nameOf.get(selected));
  const facts = [row.why, row.agent && `agent ${row.agent}`, row.cost && `cost ${row.cost}`, row.branch && `branch ${row.branch}`,
    row.undeclared && `changed, undeclared: ${row.undeclared.join(", ")}`].filter(Boolean);
  $("what").replaceChildren(make("b", {}, row.s), ` ${facts.join(" · ")}`);
  const tries = row.tries ?? 0;
  const options = $("attempt").options;
  const latest = Number($("attempt").value || 0) === options.length;
  for (let number = options.length + 1; number <= tries; number += 1) $("attempt").append(make("option", { value: number }, String(number)));
  if (latest && tries) $("attempt").value = String(tries);
  const can = readOnly ? "" : row.can ?? "";
  const buttons = [];
  const offer = (sign, verb, words, harm) => can.includes(sign) && buttons.push(make("button", { type: "button", "data-verb": verb, class: harm ? "harm" : undefined, on: { click: () => askFor(verb, selected) } }, words));
  offer("r", "retry", "Retry");
  offer("r", "retry-all", "Retry + dependents");
  offer("c", "cancel", "Cancel…", true);
  offer("s", "skip", "Skip…");
  const same = [...$("wishes").children].map((one) => one.dataset.verb).join() === buttons.map((one) => one.dataset.verb).join();
  if (!same) $("wishes").replaceChildren(...buttons);
}
const OF_ATTEMPTS = ["prompt", "checks", "diff"];
let logEnd = null;
let fetching = 0;
async function showText(anew) {
  const row = rows[selected];
  if (!row) return;
  for (const one of document.querySelectorAll("[data-tab]")) one.setAttribute("aria-pressed", String(one.dataset.tab === tab));
  for (const one of document.querySelectorAll(".logs")) one.hidden = tab !== "log" && !(OF_ATTEMPTS.includes(tab) && one.querySelector("select"));
  const mine = (fetching += 1);
  const phase = encodeURIComponent(row.id);
  const element = $("text");
  if (tab === "task") return write(mine, await words(`${base}/task?phase=${phase}`));
  if (OF_ATTEMPTS.includes(tab)) return write(mine, await words(`${base}/${tab}?phase=${phase}${$("attempt").value && `&attempt=${$("attempt").value}`}`));
  if (tab === "events") {
    const answer = await get(`${base}/facts?phase=${phase}`);
    const facts = answer ? (await answer.json()).facts : [];
    return write(mine, facts.map((fact) => fact[1]).join("\n") || "Nothing has happened yet.");
  }
  if (anew) logEnd = null;
  if (!row.tries) return write(mine, "It has not been started yet.");
  const attempt = $("attempt").value || row.tries;
  const answer = await get(`${base}/log?phase=${phase}&attempt=${attempt}${logEnd === null ? "" : `&after=${logEnd}`}`);
  if (mine !== fetching) return;
  if (!answer) return logEnd === null && write(mine, "It has printed nothing yet.");
  const piece = await answer.text();
  if (mine !== fetching) return;
  const begin = Number(answer.headers.get("x-log-begin"));
  if (logEnd === null || answer.headers.get("x-log-anew") === "1") {
    element.textContent = (begin ? "… (what was before is in the log file)\n" : "") + piece;
  } else if (piece) {
    element.append(piece);
    if (element.textContent.length > 400000) element.textContent = `…\n${element.textContent.slice(-300000)}`;
  }
  logEnd = Number(answer.headers.get("x-log-end"));
  if ($("follow").checked) element.scrollTop = element.scrollHeight;
}
function write(mine, words) {
  if (mine === fetching) put($("text"), words);
}
async function get(path) {
  try {
    const answer = await fetch(path);
    return answer.ok ? answer : null;
  } catch { return null; }
}
async function words(path) {
  try {
    const answer = await fetch(path);
    return answer.ok ? await answer.text() : (await answer.json()).error;
  } catch { return "This cannot be read."; }
}
for (const one of document.querySelectorAll("[data-tab]")) one.addEventListener("click", () => { tab = one.dataset.tab; showText(true); });
$("attempt").addEventListener("change", () => showText(true));
$("full").addEventListener("click", () => whole());
function whole(on = !body.classList.contains("full")) {
  body.classList.toggle("full", on);
  put($("full"), on ? "Back" : "Whole window");
  if (on) $("text").focus();
}

// -- wishes

const KEPT = "Whatever it was granted together with this lock is freed, too. Who did so and why is kept.";
const WISHES = {
  retry: (name) => ({ words: `Retry ${name}`, means: "It is done again from the beginning; its earlier attempts stay in the history.", yes: `Do ${name} again` }),
  "retry-all": (name) => ({ words: `Retry ${name} and what depends on it`, means: "It and everything ended that rests on it is done again.", yes: "Do all of that again" }),
  cancel: (name, row) => ({ words: `Cancel ${name}`, harm: true, means: row.from !== undefined ? `Its agent has been at work for ${timeOf(row)} and is ended for good: the phase fails, and what depends on it is blocked.` : "It is given up without being started, and what depends on it is blocked.", yes: `End ${name}`, quiet: true }),
  skip: (name) => ({ words: `Skip ${name}`, harm: true, means: "Its dependents may start although it was not done. This and your reason stand in every report.", yes: `Go on without ${name}`, must: true }),
  pause: () => ({ words: "Pause the run", means: "Nothing new starts. What is at work ends in its own time.", yes: "Pause" }),
  continue: () => ({ words: "Continue the run", means: "What is ready may start again.", yes: "Continue", quiet: true }),
  stop: () => ({ words: "Stop the run", harm: true, means: `All ${head.at_work} agents at work are ended, and the coordinator leaves. Finished work stays; \`wavecrew run\` goes on with it.`, yes: "End all agents and the run", quiet: true }),
  approve: (name) => ({ words: `Approve ${name}`, means: "What stands behind it may start.", yes: `Let ${name} start` }),
  answer: (name, row, more) => ({ words: `Answer ${name}`, means: `It ${more.words}`, yes: "Answer", must: true }),
  break: (name, row, { lock }) => ({
    words: `Break the lock on ${lock.what}`, harm: true, must: true, sure: lock.owner === "suspect", yes: `Take it from ${lock.who}`,
    means: lock.owner === "suspect"
      ? `${lock.who} gives no sign of life, but there is no proof of death either: ${lock.reason}. If it is alive, two could write one file. ${KEPT}`
      : `${lock.who} is dead: ${lock.reason}. ${KEPT}`,
  }),
  reject: (name) => ({ words: `Reject ${name}`, harm: true, means: "The phases behind it are given up. Your reason stands in every report.", yes: `Refuse ${name}`, must: true }),
};
function askFor(kind, n, gate, more = {}) {
  if (readOnly) return;
  const row = n === null ? null : rows[n];
  const name = more.name ?? (row ? nameOf.get(n) : ""); // as it is shown, without what could steer a terminal
  const told = WISHES[kind](name, row, more);
  const verb = { "retry-all": "retry", stop: "cancel" }[kind] ?? kind;
  wish = { verb, told, data: {}, more };
  if (row) wish.data.phases = [row.id];
  if (gate) wish.data.gates = [gate];
  if (kind === "retry-all") wish.data.hard = true;
  if (more.question) wish.data.question = more.question;
  if (more.lock) wish.data.fence = more.lock.id;
  wish.argument = row ? row.arg ?? row.id : gate ? quote(name) : "";
  put($("h-ask"), told.words);
  put($("means"), told.means);
  put($("yes"), told.yes);
  $("yes").className = told.harm ? "harm" : "";
  $("reasons").hidden = Boolean(told.quiet);
  put($("asked"), kind === "answer" ? "Answer" : "Why");
  $("reason").maxLength = kind === "answer" ? 4000 : 500;
  $("reason").value = "";
  $("surely").hidden = !told.sure;
  $("sure").checked = false;
  $("refused").hidden = true;
  showCommand();
  $("ask").showModal();
  (told.must ? $("reason") : told.harm ? $("no") : $("yes")).focus();
}
function showCommand() {
  put($("command"), commandOf($("reason").value.trim()));
  $("yes").disabled = Boolean((wish.told.must && !$("reason").value.trim()) || (wish.told.sure && !$("sure").checked));
}
function commandOf(words) {
  const { lock, command } = wish.more;
  if (lock) return `wavecrew locks break ${lock.id}${wish.told.sure ? " --force" : ""} --reason ${words ? quote(words) : "WHY"}`;
  const where = "old" in body.dataset ? `--run ${run}` : "";
  if (command) return `${command.replace("wavecrew answer", `wavecrew answer ${where}`.trim()).replace(/'\.\.\.'$/, "")}${words ? quote(words) : "'...'"}`;
  return ["wavecrew", wish.verb, wish.data.hard ? "--with-downstream" : "", words ? `--reason ${quote(words)}` : wish.told.must ? "--reason WHY" : "",
    where, wish.argument].filter(Boolean).join(" ");
}
$("sure").addEventListener("change", showCommand);
$("reason").addEventListener("input", showCommand);
$("copy").addEventListener("click", (event) => copy($("command").textContent, event.target));
$("yes").addEventListener("click", async () => {
  $("yes").disabled = true;
  const reason = $("reason").value.trim();
  const told = !reason ? {} : wish.verb === "answer" ? { text: reason } : { reason };
  const refused = await send(wish.verb, { ...wish.data, ...told, ...(wish.told.sure ? { force: true } : {}) });
  showCommand();
  put($("refused"), refused);
  $("refused").hidden = !refused;
  if (!refused) $("ask").close();
});
$("ask").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target === $("reason")) {
    event.preventDefault();
    if (!$("yes").disabled) $("yes").click();
  }
});
async function send(verb, data) {
  try {
    const answer = await fetch(verb === "break" ? "/api/locks/break" : `${base}/${verb}`, {
      method: "POST", headers: { "content-type": "application/json", "x-wavecrew": "1" }, body: JSON.stringify(data),
    });
    if (answer.ok) {
      const done = await answer.json();
      say(`${verb}: done`);
      if (!done.coordinator && ["retry", "skip", "continue", "approve"].includes(verb)) trouble("Nobody is at work on this run. Go on with: wavecrew run");
      return "";
    }
    const told = answer.headers.get("content-type")?.includes("json") ? await answer.json() : { error: await answer.text() };
    return [told.error, told.fix].filter(Boolean).join(" — ");
  } catch { return "The server does not answer."; }
}
if (!readOnly) {
  $("pause").addEventListener("click", () => askFor(head?.paused ? "continue" : "pause", null));
  $("stop").addEventListener("click", () => askFor("stop", null));
}

// -- theme and keys

const THEMES = ["", "light", "dark"];
function theme(name) {
  if (name) root.dataset.theme = name;
  else delete root.dataset.theme;
  put($("theme"), `Theme: ${name || "system"}`);
}
theme(keep.get("wavecrew-theme") ?? "");
$("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "") + 1) % THEMES.length];
  keep.set("wavecrew-theme", next);
  theme(next);
});
const step = (by) => select(order[Math.min(order.length - 1, Math.max(0, order.indexOf(selected) + by))], true);
const offered = (verb) => selected !== null && rows[selected] && document.querySelector(`#wishes [data-verb="${verb}"]`)?.click();
const KEYS = [
  ["j", "next phase", () => step(1)],
  ["k", "phase before", () => step(-1)],
  ["g", "the plan as a graph", () => $("as-graph").click()],
  ["t", "the plan as a table", () => $("as-table").click()],
  ["/", "filter phases", () => $("filter").focus()],
  ["l", "log of the phase", () => { tab = "log"; showText(true); }],
  ["e", "events of the phase", () => { tab = "events"; showText(true); }],
  ["d", "task of the phase", () => { tab = "task"; showText(true); }],
  ["i", "prompt of the attempt: what its agent was given", () => { tab = "prompt"; showText(true); }],
  ["h", "checks of the attempt", () => { tab = "checks"; showText(true); }],
  ["c", "changes of the phase", () => { tab = "diff"; showText(true); }],
  ["f", "log over the whole window", () => selected !== null && whole()],
  ["r", "retry the phase", () => offered("retry")],
  ["R", "retry it and what depends on it", () => offered("retry-all")],
  ["x", "cancel the phase", () => offered("cancel")],
  ["s", "skip the phase", () => offered("skip")],
  ["p", "pause or continue the run", () => $("pause")?.disabled === false && $("pause").click()],
  ["a", "approve what waits", () => document.querySelector("#needed button")?.click()],
  ["?", "these keys", () => $("keys").showModal()],
];
$("bindings").replaceChildren(...[...KEYS, ["←↑↓→", "along the edges of the graph"], ["Esc", "back"]].flatMap(([key, words]) => [make("dt", {}, key), make("dd", {}, words)]));
$("help").addEventListener("click", () => $("keys").showModal());
$("use-keys").checked = keep.get("wavecrew-keys") !== "off";
$("use-keys").addEventListener("change", (event) => keep.set("wavecrew-keys", event.target.checked ? "on" : "off"));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") return whole(false);
  if (event.target.closest("input, select, textarea") || !$("use-keys").checked) return;
  const found = KEYS.find(([key]) => key === event.key);
  if (found) {
    event.preventDefault();
    found[2]();
  }
});

// -- clocks

function tick() {
  if (!head) return;
  put($("clock"), head.since !== null ? seconds(now() - head.since) : head.took);
  rows.forEach((row, n) => { if (row.from !== undefined || row.waits !== undefined) showTime(n); });
  showScale();
  if (locks.length) showLocks();
  if (selected !== null && tab === "log" && $("follow").checked && rows[selected].from !== undefined) showText(false);
}
// A browser opens only six connections to one server for all its tabs: of many tabs, hidden ones let theirs go.
navigator.locks?.request(`wavecrew-${Math.random()}`, () => new Promise(() => {}));
document.addEventListener("visibilitychange", async () => {
  if (!document.hidden) return source.readyState === EventSource.CLOSED && listen();
  const tabs = (await navigator.locks?.query())?.held?.length ?? 0;
  if (document.hidden && tabs > 4) source.close();
});
setInterval(() => { if (!document.hidden) tick(); }, 1000);
listen();

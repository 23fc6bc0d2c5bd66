import { WORDS, listen, numbers, request, since, sparkPath, surprise, when } from "./common.js";

const MOST = 60, QUIET_US = 600e6;
const wall = document.getElementById("wall"), summary = document.getElementById("summary");
const problems = document.getElementById("sinks");
const cards = new Map([...wall.querySelectorAll(".card")].map(card => [Number(card.dataset.id), makeCard(card)]));

function makeCard(card) {
  const find = selector => card.querySelector(selector);
  const one = {
    card, word: find(".word"), since: find(".since"), line: find(".line"), limit: find(".limit"), level: find(".level"),
    ignored: find(".ignored"), note: find(".note"), quiet: find(".quiet"), last: find(".last"),
    name: find(".name").textContent, lastUs: Number(card.dataset.last) || null,
    values: numbers(card.dataset.p), state: card.dataset.state, stateUs: Number(card.dataset.since),
    threshold: card.dataset.threshold === "" ? null : Number(card.dataset.threshold),
    alarmUs: Number(find(".last").dataset.us) || null, ignoredUs: Number(find(".ignored").dataset.until) || null,
  };
  draw(one);
  return one;
}

function draw(one) {
  one.line.setAttribute("d", sparkPath(one.values, { threshold: one.threshold, most: MOST }));
  const y = one.threshold === null ? null : (28 - 1.5 - surprise(one.threshold, one.threshold) * 25).toFixed(1);
  one.limit.setAttribute("d", y === null ? "" : `M0 ${y}H120`);
  drawTimes(one);
}

function drawTimes(one) {
  one.since.textContent = one.state === "normal" ? "" : since(one.stateUs);
  if (one.alarmUs) one.last.textContent = `alarm ${when(one.alarmUs)}`;
  const isOld = one.lastUs !== null && Date.now() * 1000 - one.lastUs > QUIET_US, isJudged = one.values.at(-1) !== null;
  one.quiet.textContent = isOld ? `last clip ${since(one.lastUs)} ago`
    : one.state === "normal" && one.values.length > 0 && !isJudged ? "last clip not judged" : "";
  const isIgnored = one.ignoredUs !== null && one.ignoredUs / 1000 > Date.now();
  one.ignored.textContent = isIgnored ? `ignored until ${when(one.ignoredUs)}` : "";
}

function setState(one, state, us, note) {
  one.note.textContent = state === "normal" ? "" : note ?? "";
  if (state === one.state) return;
  one.card.classList.remove(one.state);
  one.card.classList.add(state);
  one.state = state;
  one.stateUs = us;
  one.word.textContent = WORDS[state];
  drawTimes(one);
  arrange();
}

function arrange() {
  const order = Object.keys(WORDS);
  const sorted = [...cards.values()].sort(
    (a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.name.localeCompare(b.name, undefined, { numeric: true }));
  const focused = document.activeElement;
  sorted.forEach((one, index) => {
    const item = one.card.parentElement;
    if (wall.children[index] !== item) wall.insertBefore(item, wall.children[index] ?? null);
  });
  if (focused !== document.activeElement && wall.contains(focused)) focused.focus();
  const counts = Object.fromEntries(order.map(state => [state, sorted.filter(one => one.state === state).length]));
  summary.replaceChildren();
  if (counts.normal === sorted.length) {
    summary.textContent = sorted.length === 1 ? "The machine sounds normal" : `All ${sorted.length} machines sound normal`;
    return;
  }
  for (const state of order.filter(one => counts[one])) {
    const part = document.createElement("span"), number = document.createElement("b");
    part.className = `count ${state}`;
    number.textContent = counts[state];
    part.append(number, ` ${WORDS[state].toLowerCase()}${state === "alarm" && counts[state] > 1 ? "s" : ""}`);
    summary.append(part, " ");
  }
}

const waiting = new Set();
function drawSoon(one) {  // a burst of clips is drawn once
  if (waiting.size === 0) requestAnimationFrame(() => { waiting.forEach(draw); waiting.clear(); });
  waiting.add(one);
}

async function refresh() {
  await showProblems();
  const found = await request("/api/sensors");
  if (found.items.some(one => !cards.has(one.id)) || found.items.length !== cards.size) { location.reload(); return; }
  for (const item of found.items) {
    const one = cards.get(item.id);
    Object.assign(one, {
      values: item.p_values, threshold: item.p_threshold, alarmUs: item.alarm?.raised_us ?? null,
      ignoredUs: item.ignored_until_us, lastUs: item.last_us,
    });
    setLevel(one, item.level_db);
    setState(one, item.state, item.state_since_us, item.state_note);
    draw(one);
  }
}

function setLevel(one, level) {
  one.level.textContent = level === null ? "" : `${level.toFixed(0).replace("-", "−")} dB`;
}

listen({
  clip(event) {
    const one = cards.get(event.sensor);
    if (!one) { location.reload(); return; }
    one.values.push(event.p_value);
    one.lastUs = event.start_us + 1e6 * event.seconds;
    if (one.values.length > MOST) one.values.shift();
    setLevel(one, event.level_db);
    drawSoon(one);
  },
  alarm(event) {
    const one = cards.get(event.sensor);
    if (one && event.raised_us) { one.alarmUs = event.raised_us; drawTimes(one); }
  },
  state(event) {
    const one = cards.get(event.sensor);
    if (!one) return;
    setState(one, event.state, Date.now() * 1000, event.note);
    if (event.state === "waiting" || problems.children.length) showProblems().catch(() => {});
  },
}, refresh);

function makeProblem(...words) {
  const item = document.createElement("li");
  item.className = "warn";
  item.append(...words);
  return item;
}

async function showProblems() {  // a page that is quiet because nothing is recorded or arrives would be a false comfort
  const [own, sinks] = await Promise.all([request("/api/problems"), request("/api/sinks")]);
  problems.replaceChildren(
    ...own.items.map(one => makeProblem(one.problem)),
    ...sinks.items.filter(one => one.problem).map(one => {
      const name = document.createElement("b");
      name.textContent = one.name;
      return makeProblem(name, `: ${one.n_unsent} event(s) have not arrived. ${one.problem}`);
    }));
}
setInterval(() => { if (!document.hidden) showProblems().catch(() => {}); }, 60000);

setInterval(() => cards.forEach(drawTimes), 30000);

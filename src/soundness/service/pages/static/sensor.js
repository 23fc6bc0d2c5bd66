import { WORDS, listen, request, when } from "./common.js";
import { Chart } from "./chart.js";

const main = document.getElementById("main"), id = Number(main.dataset.sensor);
const byId = name => document.getElementById(name);
const head = byId("head"), word = byId("word"), note = byId("note");

// Scores

const chart = new Chart(byId("chart"), byId("readout"), byId("calibrated-key"));
const lineNames = { score: "highest score", p: "lowest p-value", level: "mean level" };
let span = document.querySelector("input[name=span]:checked").value, endUs = null, latestUs = 0, asked = 0;

async function loadChart() {
  const mine = ++asked, end = endUs === null ? "" : `&end_us=${endUs}`;
  try {
    const found = await request(`/api/sensors/${id}/history?span=${span}${end}`);
    if (mine !== asked) return;  // another was asked for meanwhile
    chart.show(found);
    latestUs = Math.max(Date.now() * 1000, found.last_us ?? 0);
    const isNow = endUs === null && (found.last_us ?? 0) <= Date.now() * 1000;
    byId("shown").textContent = `${when(found.start_us)} – ${isNow ? "now" : when(found.end_us)}`;
    byId("later").disabled = endUs === null;
    const last = byId("last"), isFar = found.buckets.length === 0 && found.last_us !== null && found.last_us < found.start_us;
    last.hidden = !isFar;
    last.dataset.us = found.last_us ?? "";
  } catch (error) { byId("shown").textContent = error.message; }
}

const lengths = { hour: 3600e6, day: 86400e6, week: 7 * 86400e6, month: 30 * 86400e6 };
for (const input of document.querySelectorAll("input[name=span]")) {
  input.addEventListener("change", () => { span = input.value; endUs = null; loadChart(); });
}
function measure(name) {
  byId("line-name").textContent = lineNames[name];
  chart.measure = name;
  chart.draw();
}
for (const input of document.querySelectorAll("input[name=measure]")) {
  input.addEventListener("change", () => measure(input.value));
}
measure(document.querySelector("input[name=measure]:checked").value);
byId("earlier").addEventListener("click", () => {
  endUs = Math.round((endUs ?? latestUs) - lengths[span]);
  loadChart();
});
byId("later").addEventListener("click", () => {
  endUs = Math.round(endUs + lengths[span]);
  if (endUs >= latestUs) endUs = null;
  loadChart();
});
byId("last").addEventListener("click", event => {
  endUs = Number(event.currentTarget.dataset.us) + 1;
  loadChart();
});

// Sound

const player = byId("player"), button = byId("listen"), picture = byId("live-picture");
let clips = [], playing = 0, isOn = false;

async function loadSound() {
  const found = await request(`/api/sensors/${id}/live`);
  clips = found.items;
  byId("live-plane").hidden = clips.length === 0;
  if (clips.length === 0) { byId("live-words").textContent = "No sound on disk yet."; return; }
  const last = clips.at(-1);
  picture.src = `/api/sensors/${id}/spectrogram.png?until=${last.number}`;
  byId("live-words").textContent = `${when(clips[0].start_us, { seconds: true })} to ${when(last.start_us + 1e6 * last.seconds, { seconds: true })}, ${clips.length} clips`;
  const ticks = byId("live-plane").querySelector(".ticks");
  ticks.replaceChildren(...found.ticks.map(([place, text]) => {
    const one = document.createElementNS("http://www.w3.org/2000/svg", "text");
    one.setAttribute("x", "100%");
    one.setAttribute("y", `${(100 - 100 * place).toFixed(2)}%`);
    one.textContent = text;
    return one;
  }));
  if (isOn && player.paused) playNext();
}

function playNext() {
  const next = clips.find(one => one.number > playing);
  if (!next) return;  // goes on with the next clip
  playing = next.number;
  player.src = `/api/clips/${next.id}/audio`;
  player.play().catch(() => setOn(false));
}

function setOn(on) {
  isOn = on;
  button.setAttribute("aria-pressed", String(on));
  button.textContent = on ? "Stop" : "Listen";
  if (!on) { player.pause(); return; }
  playing = clips.length > 1 ? clips.at(-2).number - 1 : 0;
  playNext();
}
button.addEventListener("click", () => setOn(!isOn));
player.addEventListener("ended", playNext);
player.addEventListener("error", () => { if (isOn) playNext(); });

// Ignoring

const ignoring = byId("ignoring");
function showIgnoring() {
  const until = Number(ignoring.dataset.until);
  ignoring.hidden = !(until / 1000 > Date.now());
  ignoring.querySelector("span").textContent = ignoring.hidden ? "" : `Alarms are ignored until ${when(until)}.`;
}
byId("heed").addEventListener("click", async () => {
  try {
    await request(`/api/sensors/${id}/ignore`, { method: "POST", body: { until_us: null } });
    ignoring.dataset.until = "";
    showIgnoring();
  } catch (error) { ignoring.querySelector("span").textContent = error.message; }
});

// Live

let isWaiting = false;
function soon() {  // a burst of clips is loaded once
  if (isWaiting) return;
  isWaiting = true;
  setTimeout(() => {
    isWaiting = false;
    loadSound().catch(() => {});
    if (endUs === null && (span === "hour" || span === "day")) loadChart();
  }, document.hidden ? 30000 : 1500);
}

async function refresh() {
  const found = (await request("/api/sensors")).items.find(one => one.id === id);
  if (found) setState(found.state, found.state_note);
  await Promise.all([loadChart(), loadSound()]);
}

function setState(state, words) {
  head.className = `head ${state}`;
  word.textContent = WORDS[state];
  note.textContent = words ?? "";
}

listen({
  clip(event) { if (event.sensor === id) soon(); },
  state(event) { if (event.sensor === id) setState(event.state, event.note); },
}, refresh, () => isOn);
loadChart();
loadSound().catch(error => { byId("live-words").textContent = error.message; });
showIgnoring();
setInterval(showIgnoring, 30000);

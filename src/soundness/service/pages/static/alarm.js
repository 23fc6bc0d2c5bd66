import { fillTimes, listen, request } from "./common.js";
import { followPlayers } from "./players.js";

const main = document.getElementById("main"), key = main.dataset.alarm;
const form = document.getElementById("answers"), message = document.getElementById("message");
const given = document.getElementById("given"), seen = document.getElementById("seen");
const undo = document.getElementById("undo");  // not on the page of a sensor's fault
const section = document.getElementById("explanation"), acknowledge = document.getElementById("acknowledge");
const buttons = [...form.querySelectorAll("button"), acknowledge];

form.person.value ||= localStorage.getItem("soundness-person") ?? "";
form.addEventListener("submit", event => event.preventDefault());

function say(text, isProblem = false) {
  message.textContent = text;
  message.classList.toggle("warn", isProblem);
  message.hidden = text === "";
}

let isPosting = false, closedUs = Number(given.dataset.closed) || null;

async function post(path, body, address = `/api/alarms/${key}/${path}`) {
  const person = form.person.value.trim();
  isPosting = true;
  localStorage.setItem("soundness-person", person);
  for (const button of buttons) button.disabled = true;
  say(body.verdict === "normal" ? "Learning the sound; this takes up to a minute …" : "");
  try {
    show(await request(address, { method: "POST", body: { ...body, person } }));
  } catch (error) {
    say(`Not stored: ${error.message}`, true);
  } finally {
    isPosting = false;
    for (const button of buttons) button.disabled = false;
    acknowledge.disabled = seen.textContent !== "";
  }
}

const words = { fault: "Fault", normal: "Normal sound", ignored: "Ignored" };

function show(alarm) {
  closedUs = alarm.closed_us ?? null;
  given.hidden = !alarm.verdict;
  if (alarm.verdict) {
    const verdict = document.createElement("b");
    verdict.textContent = words[alarm.verdict];
    given.replaceChildren(verdict, [alarm.label && `: ${alarm.label}`, alarm.note && ` — ${alarm.note}`].filter(Boolean).join(""));
  }
  if (undo) undo.hidden = !alarm.can_undo;
  if (alarm.acknowledged_us) seen.textContent = `Seen${alarm.acknowledged_by ? ` by ${alarm.acknowledged_by}` : ""}.`;
  say(alarm.message || "Stored.");
}

for (const button of form.querySelectorAll("[data-verdict]")) {
  button.addEventListener("click", () => {
    const verdict = button.dataset.verdict, body = { verdict };
    if (verdict === "fault") { body.label = form.label.value; body.note = form.note.value; }
    if (verdict === "ignored") body.ignored_until_us = Math.round((Date.now() + Number(form.hours.value) * 3600000) * 1000);
    post("answer", body);
  });
}
undo?.addEventListener("click", () => post("", {}, `/api/sensors/${undo.dataset.sensor}/undo`));
acknowledge.addEventListener("click", () => post("acknowledge", {}));

async function explain() {
  try {
    const answer = await fetch(`/alarms/${key}/explanation`);
    if (!answer.ok) throw new Error((await answer.json()).detail);
    section.innerHTML = await answer.text();
  } catch (error) {
    const words = document.createElement("p");
    words.className = "warn";
    words.textContent = `The explanation could not be loaded: ${error.message}`;
    section.lastElementChild.replaceWith(words);
  }
  section.removeAttribute("aria-busy");
  fillTimes(section);
  followPlayers(section);
}

explain();
listen({
  alarm(event) {  // an answer of somebody else
    if (event.id !== key || event.event !== "answered" || isPosting || (event.closed_us ?? null) === closedUs) return;
    show({ ...event, message: `Answered just now${event.closed_by ? ` by ${event.closed_by}` : ""}.` });
  },
}, async () => {});

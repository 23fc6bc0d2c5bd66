import { fillTimes, listen, request } from "./common.js";

const main = document.getElementById("main"), key = main.dataset.alarm;
const form = document.getElementById("answers"), message = document.getElementById("message");
const given = document.getElementById("given"), seen = document.getElementById("seen");
const section = document.getElementById("explanation");

form.person.value ||= localStorage.getItem("soundness-person") ?? "";
form.addEventListener("submit", event => event.preventDefault());

function say(text, isProblem = false) {
  message.textContent = text;
  message.classList.toggle("warn", isProblem);
  message.hidden = text === "";
}

async function post(path, body, address = `/api/alarms/${key}/${path}`) {
  const person = form.person.value.trim();
  localStorage.setItem("soundness-person", person);
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  say(body.verdict === "normal" ? "Learning the sound; this takes up to a minute …" : "");
  try {
    show(await request(address, { method: "POST", body: { ...body, person } }));
  } catch (error) {
    say(`Not stored: ${error.message}`, true);
  } finally {
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
}

const words = { fault: "Fault", normal: "Normal sound", ignored: "Ignored" };

function show(alarm) {
  if (alarm.verdict) {
    const verdict = document.createElement("b");
    verdict.textContent = words[alarm.verdict];
    given.replaceChildren(verdict, [alarm.label && `: ${alarm.label}`, alarm.note && ` — ${alarm.note}`].filter(Boolean).join(""));
    given.hidden = false;
  }
  document.getElementById("undo").hidden = alarm.verdict !== "normal";
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
document.getElementById("undo").addEventListener("click", event => {
  post("", {}, `/api/sensors/${event.currentTarget.dataset.sensor}/undo`);
});
document.getElementById("acknowledge").addEventListener("click", () => post("acknowledge", {}));

async function explain() {
  try {
    const answer = await fetch(`/alarms/${key}/explanation`, { headers: { Accept: "text/html" } });
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
  for (const picture of section.querySelectorAll("[data-player]")) follow(picture);
}

function follow(picture) {  // a line across the picture at the moment that is played
  const audio = document.getElementById(`sound-${picture.dataset.player}`), cursor = picture.querySelector(".cursor");
  if (!audio) return;
  const start = Number(audio.dataset.start), length = Number(audio.dataset.length);
  const move = () => {
    const place = `${100 * (start + audio.currentTime) / length}%`;
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    cursor.classList.toggle("is-on", audio.currentTime > 0);
    if (!audio.paused) requestAnimationFrame(move);
  };
  for (const event of ["play", "seeked", "pause", "ended"]) audio.addEventListener(event, move);
  picture.addEventListener("click", event => {
    const box = picture.getBoundingClientRect();
    audio.currentTime = Math.max(0, length * (event.clientX - box.left) / box.width - start);
    audio.play();
  });
}

explain();
listen({ alarm(event) { if (event.id === key && event.event === "answered") show({ ...event, message: "Answered." }); } }, async () => {});

// Shared by the pages: requests, times, live events, lines of charts.

export const WORDS = {
  alarm: "Alarm", fault: "No signal", drifting: "Drifting", learning: "Learning",
  waiting: "Waiting", normal: "Normal", stopped: "Stopped",
};

export async function request(path, { method = "GET", body } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = document.querySelector("meta[name=csrf]").content;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.status === 401) { location.assign(`/login?next=${encodeURIComponent(location.pathname)}`); }
  const found = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(found?.detail ?? `the monitor answered ${answer.status}`);
  return found;
}

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const second = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function when(us, { seconds = false } = {}) {
  const date = new Date(us / 1000), today = new Date();
  const clock = (seconds ? second : time).format(date);
  return date.toDateString() === today.toDateString() ? clock : `${day.format(date)}, ${clock}`;
}

export function dayOf(us) { return day.format(new Date(us / 1000)); }

export function since(us) {
  const minutes = Math.max(0, (Date.now() - us / 1000) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${Math.floor(minutes)} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / 1440)} d`;
}

export function fillTimes(root = document) {
  for (const one of root.querySelectorAll("time[data-us]")) {
    const us = Number(one.dataset.us);
    one.textContent = when(us, { seconds: one.dataset.seconds !== undefined });
    one.dateTime = new Date(us / 1000).toISOString();
    one.title = new Date(us / 1000).toString();
  }
}

// Height of a p-value in a line, from 0 (usual) to 1 (rare); the threshold, if there is one, lies in the middle.
export function surprise(p, threshold = null) {
  const most = threshold === null || threshold >= 1 ? 3 : -2 * Math.log10(threshold);
  return Math.min(1, Math.max(0, -Math.log10(p) / most));
}

export function numbers(text) {
  return text === "" ? [] : text.split(",").map(one => one === "" ? null : Number(one));
}

export function sparkPath(values, { threshold = null, width = 120, height = 28, most = 60 } = {}) {
  const step = width / (most - 1), from = most - values.length;
  let path = "", isOpen = false;
  values.forEach((p, index) => {
    if (p === null) { isOpen = false; return; }
    const x = ((from + index) * step).toFixed(1), y = (height - 1.5 - surprise(p, threshold) * (height - 3)).toFixed(1);
    path += isOpen ? `L${x} ${y}` : `M${x} ${y}h.01`;
    isOpen = true;
  });
  return path;
}

// Listens to the monitor; `refresh` reads everything anew after the connection was lost. A browser has six connections
// to a host, so a page that nobody sees gives its own up, unless `isKept()`.
export function listen(handlers, refresh, isKept = () => false) {
  const lost = document.getElementById("lost");
  let source = null, hasGreeted = false, last = Date.now(), isShown = true;
  const show = () => {
    isShown = true;
    lost.hidden = true;
    document.body.classList.remove("is-old");
  };
  const hide = () => {
    if (!isShown) return;
    isShown = false;
    lost.textContent = `No connection to the monitor since ${when(last * 1000, { seconds: true })}: what you see is old.`;
    lost.hidden = false;
    document.body.classList.add("is-old");
  };
  const end = () => {
    source?.close();
    source = null;
  };
  const begin = () => {
    if (source !== null) return;
    const mine = source = new EventSource("/api/events");
    mine.addEventListener("hello", async () => {
      last = Date.now();
      try { if (hasGreeted) await refresh(); hasGreeted = true; show(); } catch (error) { hide(); }
    });
    mine.addEventListener("beat", () => { last = Date.now(); });
    for (const [kind, handler] of Object.entries(handlers)) {
      mine.addEventListener(kind, event => { last = Date.now(); handler(JSON.parse(event.data)); });
    }
    mine.onerror = () => {
      if (mine !== source) return;
      hide();
      if (mine.readyState === EventSource.CLOSED) { end(); setTimeout(() => { if (!document.hidden) begin(); }, 5000); }
    };
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) begin();
    else if (!isKept()) end();
  });
  addEventListener("pagehide", end);
  addEventListener("pageshow", event => { if (event.persisted) begin(); });
  begin();
  setInterval(() => { if (source !== null && Date.now() - last > 40000) hide(); }, 10000);
}

const clock = document.getElementById("clock");
const tick = () => { if (clock) clock.textContent = time.format(new Date()); };
tick();
setInterval(tick, 10000);
fillTimes();

// Chart of a sensor's history: a line with its range, the threshold, anomalous clips, times without sound.

import { dayOf, when } from "./common.js";

const MANY = 20;  // clips of a span of time
const MARGIN = { right: 10, top: 10, bottom: 24 };
const LEAST_DB = 3;  // that the axis of levels shows

export class Chart {
  constructor(canvas, readout, calibratedKey) {
    this.canvas = canvas;
    this.readout = readout;
    this.calibratedKey = calibratedKey;
    this.measure = "score";
    this.data = null;
    this.at = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    canvas.addEventListener("pointermove", event => this.point(event.offsetX));
    canvas.addEventListener("pointerleave", () => { this.at = null; this.tell(); this.draw(); });
    canvas.addEventListener("keydown", event => this.step(event));
  }

  show(data) {
    this.data = data;
    this.at = null;
    this.draw();
  }

  rows() {  // start, low, middle, high of each span of time
    const pick = {
      score: one => [one.lowest_score, one.score, one.highest_score],
      p: one => [null, null, one.p_value === null ? null : -Math.log10(one.p_value)],
      level: one => [null, null, one.level_db],
    }[this.measure];
    return this.data.buckets.map(one => [one, ...pick(one)]);
  }

  threshold() {  // as calibrated
    const { score_threshold: score, p_threshold: p } = this.data;
    if (this.measure === "score") return score;
    return this.measure === "p" && p !== null ? -Math.log10(p) : null;
  }

  followed() {  // thresholds that clips were compared with; empty where they are those of the calibration
    if (this.measure !== "score") return [];
    const found = this.data.buckets.filter(one => one.threshold !== null), calibrated = this.threshold();
    const isNear = one => calibrated !== null && Math.abs(one.threshold - calibrated) < 1e-6 * Math.abs(calibrated);
    return found.every(isNear) ? [] : found;
  }

  format(value) {
    if (this.measure === "level") return `${value.toFixed(1).replace("-", "−")} dB`;
    if (this.measure === "p") { const p = 10 ** -value; return p >= 0.0995 ? p.toFixed(2) : p.toPrecision(1); }
    return Number(value.toPrecision(3)).toString();
  }

  range(rows) {
    const values = rows.flatMap(row => row.slice(1)).filter(one => one !== null);
    const limit = this.threshold();
    if (limit !== null) values.push(limit);
    values.push(...this.followed().map(one => one.threshold));
    if (values.length === 0) return [0, 1];
    let low = Math.min(...values), high = Math.max(...values);
    if (this.measure === "p") low = 0;
    if (this.measure === "level" && high - low < LEAST_DB) [low, high] = [(low + high - LEAST_DB) / 2, (low + high + LEAST_DB) / 2];
    const room = 0.06 * (high - low) || 0.5;
    return [this.measure === "p" ? 0 : low - room, high + room];
  }

  draw() {
    const { canvas, data } = this, style = getComputedStyle(canvas), ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (width === 0 || height === 0) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = `12px ${style.fontFamily}`;
    if (data === null) return;
    const colour = name => style.getPropertyValue(`--${name}`).trim();
    const rows = this.rows(), [low, high] = this.range(rows), isEmpty = rows.every(row => row[3] === null);
    const ticks = isEmpty ? [] : this.ticks(low, high);
    this.left = 14 + Math.max(30, ...ticks.map(one => pen.measureText(this.format(one)).width));
    const inner = { width: width - this.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    const x = us => this.left + inner.width * (us - data.start_us) / (data.end_us - data.start_us);
    const y = value => MARGIN.top + inner.height * (1 - (value - low) / (high - low));
    this.x = x;
    this.silence(pen, rows, x, inner, colour);
    this.grid(pen, ticks, x, y, width, colour);
    if (isEmpty) this.say(pen, `no ${{ score: "scores", p: "p-values", level: "levels" }[this.measure]} in this time`, x, height, colour);
    this.range_(pen, rows, x, y, colour);
    this.line(pen, rows, x, y, colour);
    if (!isEmpty) this.limits(pen, x, y, width, colour);
    this.anomalies(pen, rows, x, y, colour);
    if (this.at !== null) this.cursor(pen, x, height, colour);
    this.describe(rows);
  }

  silence(pen, rows, x, inner, colour) {
    for (const [one] of rows) {
      for (const [end, name] of [[one.no_sound_until_us, "gap"], [one.fault_until_us, "fault"]]) {
        if (end === null) continue;
        pen.fillStyle = colour(name);
        pen.globalAlpha = name === "fault" ? 0.75 : 0.6;
        const from = Math.max(this.left, x(one.start_us)), to = Math.min(this.left + inner.width, x(end));
        pen.fillRect(from, MARGIN.top, Math.max(1, to - from), inner.height);
      }
    }
    pen.globalAlpha = 1;
  }

  say(pen, words, x, height, colour) {
    pen.fillStyle = colour("muted");
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(words, x((this.data.start_us + this.data.end_us) / 2), height / 2 - 24);
  }

  grid(pen, ticks, x, y, width, colour) {
    pen.fillStyle = colour("muted");
    pen.strokeStyle = colour("rule");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of ticks) {
      const place = Math.round(y(value)) + 0.5;
      pen.beginPath(); pen.moveTo(this.left, place); pen.lineTo(width - MARGIN.right, place); pen.stroke();
      pen.fillText(this.format(value), this.left - 7, place);
    }
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    const length = this.data.end_us - this.data.start_us, n = Math.max(2, Math.floor(width / 110));
    for (let index = 0; index < n; index++) {
      const us = this.data.start_us + length * (index + 0.5) / n;
      pen.fillText(length > 2 * 86400e6 ? dayOf(us) : when(us).split(", ").at(-1), x(us), this.canvas.clientHeight - 6);
    }
  }

  ticks(low, high) {
    if (this.measure === "p") return [0, 1, 2, 3, 4].filter(one => one >= low && one <= high);
    const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(one => one * power).find(one => one >= rough);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
    return found;
  }

  runs(rows, column) {  // stretches without a missing value or a gap between
    const found = [];
    let last = null;
    for (const row of rows) {
      if (row[column] === null) { last = null; continue; }
      const isNext = last !== null && row[0].start_us - last <= 3 * this.data.bucket_us + 60e6;
      if (isNext) found.at(-1).push(row); else found.push([row]);
      last = row[0].start_us;
    }
    return found;
  }

  range_(pen, rows, x, y, colour) {
    if (this.measure !== "score") return;
    pen.fillStyle = colour("line");
    pen.globalAlpha = 0.2;
    for (const run of this.runs(rows, 1)) {
      pen.beginPath();
      run.forEach(([one, , , high], index) => pen[index ? "lineTo" : "moveTo"](x(one.start_us), y(high)));
      [...run].reverse().forEach(([one, low]) => pen.lineTo(x(one.start_us), y(low)));
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  line(pen, rows, x, y, colour) {
    pen.strokeStyle = pen.fillStyle = colour("line");
    pen.lineWidth = 1.6;
    pen.lineJoin = "round";
    for (const run of this.runs(rows, 3)) {
      pen.beginPath();
      run.forEach(([one, , , high], index) => pen[index ? "lineTo" : "moveTo"](x(one.start_us), y(high)));
      pen.stroke();
      if (run.length === 1) pen.fillRect(x(run[0][0].start_us) - 1.5, y(run[0][3]) - 1.5, 3, 3);
    }
  }

  limits(pen, x, y, width, colour) {  // the threshold that follows normal sound, and below it the calibrated one
    const limit = this.threshold(), followed = this.followed(), hasFollowed = followed.length > 0;
    if (limit !== null) {
      pen.strokeStyle = colour(hasFollowed ? "muted" : "ink");
      pen.lineWidth = hasFollowed ? 1 : 1.3;
      pen.setLineDash(hasFollowed ? [1, 4] : [6, 4]);
      pen.beginPath(); pen.moveTo(this.left, y(limit)); pen.lineTo(width - MARGIN.right, y(limit)); pen.stroke();
    }
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1.3;
    pen.setLineDash([6, 4]);
    for (const run of this.runs(followed.map(one => [one, one.threshold]), 1)) {
      pen.beginPath();
      pen.moveTo(x(run[0][0].start_us), y(run[0][1]));
      for (const [one, value] of run) pen.lineTo(x(one.start_us), y(value));
      pen.lineTo(x(Math.min(run.at(-1)[0].start_us + this.data.bucket_us, this.data.end_us)), y(run.at(-1)[1]));
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  anomalies(pen, rows, x, y, colour) {  // dots; where a span holds many clips, a bar as high as their share
    pen.fillStyle = colour("alarm");
    const bottom = this.canvas.clientHeight - MARGIN.bottom, height = bottom - MARGIN.top;
    const width = Math.max(1, x(this.data.start_us + this.data.bucket_us) - this.left);
    for (const [one, , , high] of rows) {
      if (one.n_anomalous === 0 || high === null) continue;
      if (one.n_scored > MANY) {
        const share = one.n_anomalous / one.n_scored;
        pen.globalAlpha = 0.8;
        pen.fillRect(x(one.start_us), bottom - share * height, width, share * height);
        pen.globalAlpha = 1;
      } else { pen.beginPath(); pen.arc(x(one.start_us), y(high), 3, 0, 7); pen.fill(); }
    }
  }

  cursor(pen, x, height, colour) {
    const place = Math.round(x(this.data.buckets[this.at].start_us)) + 0.5;
    pen.strokeStyle = colour("muted");
    pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(place, MARGIN.top); pen.lineTo(place, height - MARGIN.bottom); pen.stroke();
  }

  point(offset) {
    if (this.data === null || this.data.buckets.length === 0) return;
    const distances = this.data.buckets.map(one => Math.abs(this.x(one.start_us) - offset));
    this.move(distances.indexOf(Math.min(...distances)));
  }

  step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined || this.data === null || this.data.buckets.length === 0) return;
    event.preventDefault();
    const last = this.data.buckets.length - 1;
    this.move(Math.min(last, Math.max(0, (this.at ?? last) + by)));
  }

  move(index) {
    if (index === this.at) return;
    this.at = index;
    this.tell();
    this.draw();
  }

  tell() {
    if (this.at === null) { this.readout.textContent = ""; return; }
    const one = this.data.buckets[this.at], [, low, , high] = this.rows()[this.at];
    const parts = [when(one.start_us, { seconds: this.data.bucket_us < 60e6 })];
    if (high !== null) parts.push(low === null || low === high ? this.format(high) : `${this.format(low)} to ${this.format(high)}`);
    if (this.measure === "score" && one.threshold !== null) parts.push(`threshold ${this.format(one.threshold)}`);
    if (one.n_anomalous) parts.push(`${one.n_anomalous} of ${one.n_scored} anomalous`);
    if (one.n_failed) parts.push(`${one.n_failed} not judged`);
    if (one.fault_until_us !== null) parts.push("sensor fault");
    else if (one.no_sound_until_us !== null) parts.push("sound lost");
    this.readout.textContent = parts.join(" · ");
  }

  describe(rows) {
    const values = rows.map(row => row[3]).filter(one => one !== null);
    const n = this.data.buckets.reduce((sum, one) => sum + one.n_anomalous, 0);
    const name = { score: "Scores", p: "P-values", level: "Levels" }[this.measure];
    this.calibratedKey.hidden = this.followed().length === 0;
    this.canvas.setAttribute("aria-label", values.length === 0 ? `${name}: none in this time`
      : `${name} from ${this.format(Math.min(...values))} to ${this.format(Math.max(...values))}; ${n} anomalous clips. Arrow keys read single times.`);
  }
}

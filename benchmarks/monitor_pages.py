"""Section of `monitor.py`: how soon the pages of a working monitor are complete in a browser, and who can use them.

The monitor runs as a user starts it, in a process of its own, and scores live streams while the pages are opened. Its
store holds a day of clips of every sensor and a month of one.
"""

import contextlib
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import soundfile

from monitored_cars import CLIP_SECONDS, MANY_ALARMS, RATE, car_detector, configuration, write_stream
from page_times import open_browser
from promises import Row

__all__ = ["pages"]

ROOT = Path(__file__).parents[1]
N_SENSORS = int(os.environ.get("MONITOR_STREAMS", "200"))
N_ANOMALOUS, N_SILENT, N_LEARNING = 4, 2, 2  # sensors among them
N_TIMES = 15
DAY, MONTH = 8_640, 30 * 8_640  # clips
AT_ONCE = 60  # clips of a sensor that are written in one go
CACHE_KB = 400_000
WIDTHS = (360, 1440)
STREAM_SECONDS = 600

# Notes when a page is complete and drawn, in seconds since it was asked for, or since its `began`.
_WATCH = """
{
  const isComplete = () => {
    const lines = [...document.querySelectorAll(".card .line")];
    if (location.pathname === "/") return lines.length > 0 && lines.every(one => one.hasAttribute("d"));
    const picture = document.getElementById("live-picture");
    const hasChart = document.getElementById("chart")?.ariaLabel.includes(" from ");
    return hasChart && picture.complete && picture.naturalWidth > 0;
  };
  const watch = () => requestAnimationFrame(() => {
    if (document.readyState !== "complete" || !isComplete()) watch();
    else requestAnimationFrame(() => setTimeout(() => { window.completeSeconds = performance.now() / 1000; }));
  });
  watch();
}
"""
_MONTH = """
const done = arguments[0], shown = document.getElementById("shown"), before = shown.textContent;
const began = performance.now();
document.querySelector("input[name=span][value=month]").click();
const watch = () => requestAnimationFrame(() => {
  if (shown.textContent === before) watch();
  else requestAnimationFrame(() => setTimeout(() => done((performance.now() - began) / 1000)));
});
watch();
"""


@dataclass(frozen=True)
class Monitored:
    """A running monitor, and its sensors by their names."""

    address: str
    sensors: dict[str, int]

    def url(self, path: str) -> str:
        """Address of one of its pages."""
        return f"{self.address.rstrip('/')}{path}"


def pages(work: Path) -> Iterator[Row]:
    """Times until pages are complete, and checks of all of them."""
    sys.path.append(str(ROOT / "tests"))  # where the checks of the tests are
    folder = work / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    path = _configuration(work, folder)
    _fill(path)
    with _running(path) as monitor, open_browser() as browser:
        key = _first_alarm(monitor)
        yield from _times(browser, monitor)
        yield from _checks(browser, monitor, key)
    shutil.rmtree(folder / "data")


def _configuration(work: Path, folder: Path) -> Path:
    """Configuration of sensors that are well, and of some that have an alarm, no signal, and no detector yet."""
    normal = write_stream(work / "cars.flac", STREAM_SECONDS)
    spans = [(start, start + 30) for start in range(10, STREAM_SECONDS, 60)]
    anomalous = write_stream(work / "whistling-cars.flac", STREAM_SECONDS, anomalous=spans)
    silent = work / "silence.flac"
    if not silent.exists():
        soundfile.write(silent, np.zeros(STREAM_SECONDS * RATE, dtype=np.int16), RATE)
    n_normal = N_SENSORS - N_ANOMALOUS - N_SILENT - N_LEARNING
    recordings = [*[normal] * n_normal, *[anomalous] * N_ANOMALOUS, *[silent] * N_SILENT]
    sources = [f"replay:{recording}?speed=1&loop=true" for recording in recordings]
    more = MANY_ALARMS + 'fault_after = "10s"\n'
    path = configuration(folder, sources, detector=car_detector(work), sensor=more)
    text = path.read_text(encoding="utf-8").replace("is_on = false", "port = 0")
    for number in range(N_LEARNING):
        text += f'[[sensor]]\nname = "new car {number}"\nsource = "{sources[0]}"\nlearn = "24h"\n'
    path.write_text(text, encoding="utf-8")
    return path


def _fill(configuration: Path) -> None:
    """Write a store with clips of the last day of every sensor, and of the last month of the first, up to now."""
    from soundness.monitoring.configuration.monitor_settings import load_configuration
    from soundness.monitoring.store import tables
    from soundness.monitoring.store.store import Store

    settings, rng, now_us = load_configuration(configuration), np.random.default_rng(0), time.time_ns() // 1_000
    store = Store.open(configuration.parent / settings.store.folder)
    with store.transaction() as transaction:
        for one in settings.sensor:
            known = one.detector is not None
            state = "normal" if known else "waiting"
            sensor = transaction.add_sensor(one.name, source=one.source, state=state, now_us=now_us)
            # its stream begins now, not at the first clip: else it would be played up to here first
            transaction.update_sensor(sensor, first_us=now_us if known else None)
        transaction.connection.exec_driver_sql(f"PRAGMA cache_size = {-CACHE_KB}")  # many rows in one transaction
        sensors = [number for number, one in enumerate(settings.sensor, start=1) if one.detector is not None]
        for first in range(0, MONTH, AT_ONCE):
            some = sensors if first >= MONTH - DAY else sensors[:1]
            rows = []
            for number in range(first, first + AT_ONCE):
                start_us = now_us - round(1e6 * CLIP_SECONDS * (MONTH - number))
                own = number + 1 - (MONTH - DAY)
                rows += [_clip(one, number + 1 if one == 1 else own, start_us, rng.random()) for one in some]
            transaction.connection.execute(tables.clips.insert(), rows)
    store.close()


def _clip(sensor: int, number: int, start_us: int, share: float) -> dict[str, object]:
    """Row of a scored clip, whose p-value is a share."""
    return {
        "sensor_id": sensor,
        "number": number,
        "start_us": start_us,
        "seconds": CLIP_SECONDS,
        "outcome": "scored",
        "state": "normal",
        "score": 1.0 - math.log(share + 1e-4),
        "p_value": share + 1e-4,
        "is_anomalous": share < 0.001,
        "level_db": -30.0 + share,
    }


@contextlib.contextmanager
def _running(path: Path) -> Iterator[Monitored]:
    """Context in which a monitor runs."""
    command = [sys.executable, "-c", "from soundness.cli import main; main()", "monitor", path]
    log = path.with_name("monitor.log")
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
    try:
        address = _address(process, log)
        items = httpx.get(f"{address}api/sensors", timeout=60.0).json()["items"]
        yield Monitored(address, {one["name"]: one["id"] for one in items})
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen, log: Path) -> str:
    """Address that a monitor prints once it answers."""
    while process.poll() is None:
        found = re.search(r"^pages at (\S+)$", log.read_text(encoding="utf-8"), re.MULTILINE)
        if found is not None:
            return found[1]
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8"))


def _first_alarm(monitor: Monitored) -> str:
    """Key of an anomaly's alarm, once there is one, and a sensor at fault."""
    deadline = time.monotonic() + 300.0
    while time.monotonic() < deadline:
        found = httpx.get(monitor.url("/api/alarms"), params={"kind": "anomaly"}, timeout=60.0).json()["items"]
        faults = httpx.get(monitor.url("/api/alarms"), params={"kind": "fault"}, timeout=60.0).json()["items"]
        if found and faults:
            return found[0]["id"]
        time.sleep(1.0)
    raise AssertionError("no alarm within five minutes")


def _times(browser, monitor: Monitored) -> Iterator[Row]:
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
    screen = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)

    def opened(path: str) -> Callable[[], float]:
        def once() -> float:
            browser.get(monitor.url(path))
            return _complete(browser)

        return once

    def month() -> float:
        browser.get(monitor.url(sensor))
        _complete(browser)
        return float(browser.execute_async_script(_MONTH))

    sensor = f"/sensors/{monitor.sensors['car 0']}"
    yield _time_row(f"overview of {len(monitor.sensors)} sensors complete in headless Chromium", opened("/"))
    yield _time_row("page of a sensor complete, with a day of scores and the sound of now", opened(sensor), limit=None)
    yield _time_row(f"a month of scores of one sensor ({MONTH:,} clips) drawn", month)


def _complete(browser) -> float:
    """Seconds after which a page was complete."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        seconds = browser.execute_script("return window.completeSeconds ?? null")
        if seconds is not None:
            return float(seconds)
        time.sleep(0.02)
    raise AssertionError(f"{browser.current_url} is not complete after a minute")


def _time_row(what: str, once: Callable[[], float], *, limit: float | None = 1.0) -> Row:
    """Row of some times, of which the largest has to keep a limit."""
    seconds = [once() for _ in range(N_TIMES)]
    measured = f"{statistics.median(seconds):.2f} s at the median, {max(seconds):.2f} s at most ({N_TIMES} loads)"
    return Row(what, "" if limit is None else f"<= {limit:g} s", measured, limit is None or max(seconds) <= limit)


def _checks(browser, monitor: Monitored, alarm: str) -> Iterator[Row]:
    """Findings on all pages: as a phone and a desk show them, light and dark, and by the keyboard."""
    from page_checks import look_at, poor_contrasts, reached_by_no_key, unlabelled, widest

    sensors = ("car 0", f"car {N_SENSORS - N_LEARNING - N_SILENT - 1}", "new car 0")
    paths = ["/", *(f"/sensors/{monitor.sensors[name]}" for name in sensors), "/alarms", f"/alarms/{alarm}"]
    paths += ["/docs", "/login"]
    found: dict[str, list[str]] = {name: [] for name in ("contrast", "labels", "width", "console", "keyboard")}
    browser.get_log("browser")
    for path in paths:
        for width in WIDTHS:
            for is_dark in (False, True):
                look_at(browser, monitor.url(path), width=width, is_dark=is_dark)
                found["contrast"] += [f"{path}: {one}" for one in poor_contrasts(browser)]
                found["labels"] += [f"{path}: {one}" for one in unlabelled(browser)]
                found["width"] += [path] if widest(browser) > width else []
                found["console"] += [f"{path}: {one['message']}" for one in browser.get_log("browser")]
        look_at(browser, monitor.url(path))
        found["keyboard"] += [f"{path}: {one}" for one in reached_by_no_key(browser, 2 * N_SENSORS + 200)]
    views = f"{len(paths)} pages at {WIDTHS[0]} and {WIDTHS[1]} px, light and dark"
    yield _check_row(f"{views}: texts with less contrast than WCAG 2 AA", found["contrast"])
    yield _check_row("controls and pictures without a label", found["labels"])
    yield _check_row("pages that have to be moved sideways", found["width"])
    yield _check_row("errors and warnings of the console", found["console"])
    yield _check_row("controls that the keyboard alone does not reach", found["keyboard"])


def _check_row(what: str, found: list[str]) -> Row:
    return Row(what, "0", f"{len(found)}{f', such as {found[0]}' if found else ''}", not found)

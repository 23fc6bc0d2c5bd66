"""The monitor: streams of two cores, the way of an alarm, kills and outages, pages, what it needs, and what it learns.

SOUNDNESS_DATA=... python benchmarks/monitor.py [--only streams,memory,latency,kills,pages,install,...]

Needs an idle machine of two cores, mosquitto and PostgreSQL, and some hours; what is finished is kept in the work
folder and not measured again. Environment variables make a run smaller: MONITOR_STREAMS (200), MONITOR_MINUTES (10),
MONITOR_HOURS (24, of sound, for `kills`) and MONITOR_KILLS (100). Writes the tables of docs/monitor.md. Exit status 1
if a promise is not kept.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from monitor_learning import commissioning, drifting
from monitor_pages import pages
from monitored_cars import CLIP_SECONDS, MANY_ALARMS, car_detector, configuration, write_stream
from promises import Row, measure

ROOT = Path(__file__).parents[1]
N_STREAMS = int(os.environ.get("MONITOR_STREAMS", "200"))
MINUTES = float(os.environ.get("MONITOR_MINUTES", "10"))
N_LATE = 15  # alarms whose way to the broker is timed
STREAM_SECONDS = 600


def streams(work: Path) -> Iterator[Row]:
    """Live streams side by side: every clip scored, and how soon."""
    found = _load(work, "streams", N_STREAMS, speed=1, seconds=60 * MINUTES)
    late = np.array([seconds for *_, seconds in found["late"]])
    outcomes = Counter(outcome for _, _, outcome, _ in found["late"])
    numbers = Counter(sensor for sensor, *_ in found["late"])
    expected = int((60 * MINUTES - 2 * CLIP_SECONDS) // CLIP_SECONDS)  # they begin spread over a clip
    fewest, what = min(numbers.values(), default=0), f"{N_STREAMS} live streams of 10-s clips"
    is_all = len(numbers) == N_STREAMS and fewest >= expected and set(outcomes) == {"scored"}
    measured = f"{outcomes['scored']} of {len(late)} rows scored, at least {fewest} a stream of {expected}"
    yield Row(f"{what}, {MINUTES:g} min: clips", "all scored, none lost", measured, is_all)
    measured = f"{np.median(late):.2f} s at the median, {late.max():.2f} s at most"
    yield Row(f"{what}: a clip's row after its end", "<= 5 s", measured, bool(late.max() <= 5.0))
    cores = found["cpu"] / found["wall"]
    per_clip = 1000 * found["cpu"] / max(1, len(late))
    measured = f"{100 * cores / (os.cpu_count() or 1):.0f} % of {os.cpu_count()} cores; {per_clip:.0f} ms a clip"
    yield Row(f"{what}: processor", "", measured, True)
    yield _memory_row(found, N_STREAMS, f"{what}: memory")


def memory(work: Path) -> Iterator[Row]:
    """An hour of each stream replayed as fast as it is scored: the memory stays as it is."""
    n_streams = max(1, N_STREAMS // 10)
    found = _load(work, "memory", n_streams, speed=0, seconds=6 * 60 * MINUTES, loops=False)
    hours = len(found["late"]) * CLIP_SECONDS / 3_600 / n_streams
    yield _memory_row(found, n_streams, f"{n_streams} streams, {hours:.1f} h of each replayed at speed: memory")


def _memory_row(found: dict, n_streams: int, what: str) -> Row:
    """Growth from the first fifth of a run to its end."""
    sizes = [size for seconds, size in found["memory"] if seconds >= 0.2 * found["wall"]]
    grown = (statistics.median(sizes[-3:]) - statistics.median(sizes[:3])) / n_streams / 1e6 if sizes else 0.0
    total = max(size for _, size in found["memory"]) / 1e6
    measured = f"grows by {grown:.2f} MB a stream; {total:.0f} MB in all, {found['idle'] / 1e6:.0f} MB before it began"
    return Row(what, "grows by at most 0.5 MB a stream", measured, bool(sizes) and grown <= 0.5)


def _load(work: Path, name: str, n_streams: int, *, speed: float, seconds: float, loops: bool = True) -> dict:
    """Run `monitor_load.py` on copies of one recording."""
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    recording = write_stream(work / "cars.flac", STREAM_SECONDS)
    if not loops:  # an hour
        hour = work / "hour"
        hour.mkdir(exist_ok=True)
        for number in range(6):
            if not (hour / f"{number}.flac").exists():
                os.link(recording, hour / f"{number}.flac")
        recording = hour
    source = f"replay:{recording}?speed={speed:g}" + ("&loop=true" if loops else "")
    path = configuration(folder, [source] * n_streams, detector=car_detector(work))
    out = folder / "seen.json"
    command = [sys.executable, ROOT / "benchmarks" / "monitor_load.py", path, str(seconds), out]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=seconds + 600)
    found = json.loads(out.read_text(encoding="utf-8"))
    shutil.rmtree(folder / "data")
    return found


def latency(work: Path) -> Iterator[Row]:
    """From the end of the clip that raises an alarm to its message at a subscriber of a real broker."""
    sys.path.append(str(ROOT / "tests"))  # where the broker of the tests is
    from mosquitto import broker, subscriber

    folder = work / "latency"
    shutil.rmtree(folder, ignore_errors=True)
    spans = [(60 * number + 30, 60 * number + 40) for number in range(N_LATE)]
    recording = write_stream(work / "latency.flac", 60 * N_LATE + 30, anomalous=spans)
    times: dict[str, float] = {}
    with broker(folder / "broker") as server, subscriber(server.port, topic="soundness/+/event") as listener:
        more = f'[mqtt]\nurl = "{server.url}"\n'
        source = f"replay:{recording}?speed=1"
        path = configuration(folder, [source], detector=car_detector(work), more=more, sensor=MANY_ALARMS)
        process = subprocess.Popen([*_monitor(), path], stderr=subprocess.DEVNULL)
        while process.poll() is None and len(times) < N_LATE:
            for payload in listener.events():
                times.setdefault(payload, time.time())
            time.sleep(0.002)
        process.terminate()
        process.wait()
    delays = sorted(_delays(folder, times))
    measured = f"{statistics.median(delays):.2f} s at the median, {delays[-1]:.2f} s at most ({len(delays)} alarms)"
    what = "end of an anomalous clip to the message of MQTT"
    yield Row(what, "<= 0.5 s at the median", measured, statistics.median(delays) <= 0.5)


def _delays(folder: Path, times: dict[str, float]) -> Iterator[float]:
    """Seconds from the end of the clip that raised each alarm to its message."""
    from soundness.monitoring.store.store import Store

    store = Store.open(folder / "data")
    (sensor,) = store.sensors()
    rows = {row.start_us: row for row in store.last_clips(sensor.id, 100_000)}
    alarms = {alarm.key: rows[alarm.raised_us].end_us / 1e6 for alarm in _alarms(store, sensor.id)}
    store.close()
    for payload, seconds in times.items():
        content = json.loads(payload)
        if content["event"] == "raised":
            yield seconds - alarms[content["alarm"]]


def _alarms(store, sensor_id: int) -> list:
    from soundness.monitoring.store.listing import list_alarms

    return [alarm for alarm in list_alarms(store, limit=10_000) if alarm.sensor_id == sensor_id]


def _monitor() -> list[str]:
    return [sys.executable, "-c", "from soundness.cli import main; main()", "monitor"]


def install(work: Path) -> Iterator[Row]:
    """The extra in a new environment, without torch, and an idle monitor of it."""
    folder = work / "install"
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    before = _size(folder / "venv")
    constraints = ROOT / "constraints.txt"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-compile", "-c", constraints, f"{ROOT}[monitor]"], check=True
    )
    size = (_size(folder / "venv") - before) / 1e6
    yield Row("install of `[monitor]`", "< 400 MB", f"{size:.0f} MB", size < 400)
    has_torch = subprocess.run([python, "-c", "import torch"], check=False, capture_output=True).returncode == 0
    yield Row("torch in it", "no", "yes" if has_torch else "no", not has_torch)
    source = "pcm:-?rate=16000"
    path = configuration(folder / "idle", [source], detector=car_detector(work))
    path.write_text(path.read_text(encoding="utf-8").replace("is_on = false", "port = 0"), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    process = subprocess.Popen(
        [python.with_name("soundness"), "monitor", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    time.sleep(20)
    is_running = process.poll() is None
    resident = _resident(process.pid) / 1e6 if is_running else 0.0
    process.terminate()
    process.wait()
    yield Row("idle monitor with its pages: memory", "< 200 MB", f"{resident:.0f} MB", is_running and resident < 200)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _resident(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def kills(work: Path) -> Iterator[Row]:
    """See `monitor_kills.py`."""
    from monitor_kills import rows

    yield from rows(work)


SECTIONS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "streams": streams,
    "memory": memory,
    "latency": latency,
    "kills": kills,
    "pages": pages,
    "install": install,
    "commissioning": commissioning,
    "drift": drifting,
}


if __name__ == "__main__":
    page, out = ROOT / "docs" / "monitor.md", Path("out/benchmark-monitor")
    sys.exit(measure(SECTIONS, description=__doc__.splitlines()[0], page=page, work=out))

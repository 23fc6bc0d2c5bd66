"""Section of `monitor.py`: a monitor that is killed again and again, with a broker and a database that go away.

The sound of a day is replayed as fast as it is scored, on PostgreSQL, with alarms to a broker of MQTT and a webhook.
The monitor is killed at random moments; between the kills, in turn, the broker and the database go away and come back.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sql

from monitored_cars import CLIP_SECONDS, MANY_ALARMS, car_detector, configuration, write_stream
from promises import Row

__all__ = ["rows"]

ROOT = Path(__file__).parents[1]
HOURS = float(os.environ.get("MONITOR_HOURS", "24"))
N_KILLS = int(os.environ.get("MONITOR_KILLS", "100"))
PART_SECONDS = 600
AWAY_SECONDS = 3.0


def rows(work: Path) -> Iterator[Row]:
    """Clips, alarms and deliveries, each exactly once."""
    sys.path.append(str(ROOT / "tests"))  # where the servers of the tests are
    from mosquitto import Mosquitto, Subscriber
    from postgres import postgres_programs, postgres_server
    from webhook_server import taking_alarms

    folder = work / "kills"
    shutil.rmtree(folder, ignore_errors=True)
    programs = postgres_programs()
    assert programs is not None, "PostgreSQL is not installed"
    broker = Mosquitto(folder / "broker", saves=True).start()
    listener = Subscriber(broker.port, topic="soundness/+/event")
    try:
        with postgres_server(programs) as server, taking_alarms() as hook:
            url = server.new_database()
            more = f'[mqtt]\nurl = "{broker.url}"\n[[webhook]]\nname = "hook"\nurl = "{hook.url}"\n'
            more += f'[store]\nurl = "{url}"\n'
            source = f"replay:{_day(work)}?speed=0"
            path = configuration(folder, [source], detector=car_detector(work), more=more, sensor=MANY_ALARMS)
            n_killed, n_away = _run_killed(path, broker, server)
            _finish(path)
            time.sleep(AWAY_SECONDS)
            events = [json.loads(payload)["id"] for payload in listener.events()]
            posted = [one["id"] for one in hook.came]
            yield from _accounts(url, n_killed, n_away, {"MQTT": events, "the webhook": posted})
    finally:
        listener.close()
        broker.stop()


def _day(work: Path) -> Path:
    """Folder of the sound of all hours: parts of ten minutes, one in six with a faulty machine for a minute."""
    folder = work / f"sound-{HOURS:g}h"
    normal = write_stream(work / "kills-normal.flac", PART_SECONDS)
    faulty = write_stream(work / "kills-faulty.flac", PART_SECONDS, anomalous=[(300, 360)])
    folder.mkdir(exist_ok=True)
    for number in range(round(3_600 * HOURS / PART_SECONDS)):
        part = folder / f"{number:04d}.flac"
        if not part.exists():
            os.link(faulty if number % 6 == 3 else normal, part)
    return folder


def _command(path: Path) -> list[str]:
    return [sys.executable, "-c", "from soundness.cli import main; main()", "monitor", str(path)]


def _run_killed(path: Path, broker, server) -> tuple[int, Counter]:
    """Kill the monitor until it was killed often enough, or has come to its end; kills, and outages of each service."""
    rng, away, n_killed = random.Random(0), Counter(), 0
    while n_killed < N_KILLS:
        process = subprocess.Popen(_command(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        outage = ("", "broker", "database", "")[n_killed % 4]
        time.sleep(rng.uniform(0.5, 4.0))
        if outage:
            stop, start = (broker.stop, broker.start) if outage == "broker" else (server.kill, server.start)
            stop()
            time.sleep(rng.uniform(0.2, AWAY_SECONDS))
            start()
            away[outage] += 1
            time.sleep(rng.uniform(0.0, 2.0))
        if process.poll() == 0:
            return n_killed, away
        if process.poll() is not None:
            continue  # the database was away when it began: it says so, and begins again
        process.kill()
        process.wait()
        n_killed += 1
    return n_killed, away


def _finish(path: Path) -> None:
    """Let it run to its end."""
    subprocess.run(_command(path), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _accounts(url: str, n_killed: int, n_away: Counter, came: dict[str, list[str]]) -> Iterator[Row]:
    from soundness.monitoring.store.database import open_database
    from soundness.monitoring.store.tables import alarms, clips, deliveries

    engine = open_database(url)
    with engine.connect() as connection:
        stored = connection.execute(sql.select(clips).order_by(clips.c.number)).all()
        n_alarms = connection.execute(sql.select(sql.func.count()).select_from(alarms)).scalar()
        found = connection.execute(sql.select(deliveries.c.sink, deliveries.c.key, deliveries.c.sent_us)).all()
    engine.dispose()
    outages = ", ".join(f"the {name} away {count} times" for name, count in n_away.items())
    yield Row(f"{HOURS:g} h of one sensor: kills", f">= {N_KILLS}", f"{n_killed}; {outages}", n_killed >= N_KILLS)
    numbers = [row.number for row in stored]
    outcomes = Counter(row.outcome for row in stored)
    ends = [row.start_us + 1e6 * row.seconds for row in stored]
    breaks = sum(abs(row.start_us - end) > 1e3 for row, end in zip(stored[1:], ends[:-1], strict=True))
    expected = round(3_600 * HOURS / CLIP_SECONDS)
    is_whole = (
        numbers == list(range(1, expected + 1)) and breaks == 0 and not set(outcomes) - {"scored", "gap", "fault"}
    )
    words = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    measured = f"{words}; {len(numbers) - len(set(numbers))} twice, {breaks} breaks of time"
    yield Row("clips, each accounted for exactly once", f"{expected}", measured, is_whole)
    for name, sink in (("MQTT", "mqtt"), ("the webhook", "hook")):
        keys = Counter(key for its, key, _ in found if its == sink)
        ids = set(came[name])
        n_unsent = sum(sent is None for its, _, sent in found if its == sink)
        repeated = len(came[name]) - len(ids)
        is_once = ids == set(keys) and n_unsent == 0 and max(keys.values(), default=0) == 1 and repeated <= n_killed
        measured = f"{len(ids)} of {len(keys)} by their key, {n_unsent} unsent; {repeated} came again with the same key"
        yield Row(f"events of {n_alarms} alarms to {name}", "each once by its key", measured, is_once and len(keys) > 0)

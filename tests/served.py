"""A monitor's store with some sensors, and the real HTTP service over it."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
import soundfile

from soundness.monitoring.configuration.monitor_settings import MonitorSettings, SensorSettings, ServiceSettings
from soundness.monitoring.live.events import Events
from soundness.monitoring.store.records import Alarm, ClipRow
from soundness.monitoring.store.store import Store, new_key
from soundness.service.access.guard import Access
from soundness.service.access.passwords import Secrets
from soundness.service.access.sessions import read_session_key
from soundness.service.api.live import LiveEvents
from soundness.service.application import build_application
from soundness.service.parts import ServiceParts
from soundness.service.server import open_socket, serving, shown_address

RATE = 16_000
TOKEN = "a-token-for-programs-0123"
PASSWORD = "correct horse battery"


@dataclass
class Served:
    """A running service."""

    address: str
    store: Store
    parts: ServiceParts
    access: Access
    clips: dict[str, list[ClipRow]] = field(default_factory=dict)
    alarms: list[Alarm] = field(default_factory=list)

    def client(self, **options):
        return httpx.Client(base_url=self.address, timeout=60.0, **options)


def now_us():
    return time.time_ns() // 1_000


def add_sensor(store, name, *, n_clips=5, state="normal", seconds=1.0, p_value=0.5, n_audio=0):
    """Add a sensor with clips that end now, the last ones with audio."""
    now = now_us()
    with store.transaction() as transaction:
        sensor_id = transaction.add_sensor(name, source="mic:0", state=state, now_us=now)
        rows = []
        for number in range(1, n_clips + 1):
            start = now - round(1e6 * seconds * (n_clips + 1 - number))
            has_audio = number > n_clips - n_audio
            audio = f"audio/{sensor_id}/{number}.flac" if has_audio else ""
            if has_audio:
                write_clip(store.folder / audio, seconds=seconds, seed=number)
            clip = ClipRow(
                sensor_id=sensor_id,
                number=number,
                start_us=start,
                seconds=seconds,
                outcome="scored",
                state=state,
                score=10.0 + number,
                p_value=p_value,
                level_db=-30.0,
                audio=audio,
            )
            rows.append(transaction.add_clip(clip))
    return sensor_id, rows


def write_clip(path: Path, *, seconds=1.0, seed=0, hz=400):
    path.parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(round(seconds * RATE)) / RATE
    noise = 0.05 * np.random.default_rng(seed).standard_normal(len(time_s))
    soundfile.write(path, noise + 0.2 * np.sin(2 * np.pi * hz * time_s), RATE, format="FLAC")


def add_alarm(store, rows, *, kind="anomaly", reason="A tone at 1.3 kHz is new.", **values):
    """Add an alarm whose clips are some rows."""
    first = rows[0]
    alarm = Alarm(
        key=new_key(),
        sensor_id=first.sensor_id,
        kind=kind,
        raised_us=first.start_us,
        last_us=rows[-1].end_us,
        clip_id=first.id,
        score=first.score,
        p_value=0.004,
        reason=reason,
        **values,
    )
    with store.transaction() as transaction:
        alarm = transaction.add_alarm(alarm)
        for row in rows:
            transaction.set_clip(row.id, alarm_id=alarm.id, is_anomalous=True)
    return alarm


@contextmanager
def served(
    folder: Path, fill=None, *, detector=None, host="127.0.0.1", token=None, password_hash=None, public_url="", **parts
):
    """Serve a store that ``fill`` has filled; gives what runs."""
    store = Store.open(folder)
    found = {} if fill is None else fill(store)
    settings = MonitorSettings(
        service=ServiceSettings(host=host, port=0),
        sensor=tuple(SensorSettings(name=one.name, source="mic:0", clip_seconds=1.0) for one in store.sensors())
        or (SensorSettings(name="none", source="mic:0"),),
    )
    service = ServiceParts(settings=settings, store=store, events=Events(), detector_of=lambda _name: detector, **parts)
    access = Access(
        secrets=Secrets(token=token, password_hash=password_hash),
        key=read_session_key(folder, password_hash=password_hash or ""),
        host=host,
        public_url=public_url,
    )
    sock, live = open_socket("127.0.0.1", 0), LiveEvents(service)
    with serving(build_application(service, access, live), sock, before_end=live.end):
        yield Served(shown_address(sock), store, service, access, **found)
    store.close()


def two_sensors(store):
    """A pump that is well, and a fan with an alarm whose clips have audio."""
    _, pump = add_sensor(store, "pump 3", n_audio=2)
    _, fan = add_sensor(store, "fan <script>alert(1)", state="alarm", n_audio=3)
    alarm = add_alarm(store, fan[-2:])
    return {"clips": {"pump": pump, "fan": [replace(row) for row in fan]}, "alarms": [alarm]}

"""The whole program: alarms of a replay reach broker, webhook and people, and no secret is seen."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace

import numpy as np
import soundfile

from delivered import until
from monitored import RATE, hum, rule
from mosquitto import broker, needs_mosquitto, subscriber
from soundness.detectors.saving import save_detector
from webhook_server import taking_alarms

pytestmark = needs_mosquitto
SECONDS = 0.5
SECRETS = {"KEY": "hunter-key", "HOOK": "hunter-hook", "MQTT": "hunter-mqtt", "NOTIFY": "hunter-notify"}


@contextlib.contextmanager
def running(path, env):
    """The program at work, which is ended at the end."""
    command = [sys.executable, "-m", "soundness", "monitor", path]
    output = (path.parent / "output").open("wb")
    with output, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def write(tmp_path, server, sensor, *, more=""):
    """Write a configuration with a broker that wants a password."""
    path = tmp_path / "m.toml"
    path.write_text(
        f'[store]\nfolder = "data"\nmin_free_gigabytes = 0.0\n[service]\nis_on = false\n'
        f'public_url = "https://sound.example"\n[mqtt]\nurl = "{server.url}"\nuser = "anna"\n'
        f'password = {{ env = "MQTT" }}\n{more}\n[[sensor]]\nname = "fan"\nclip_seconds = {SECONDS}\n'
        f'minimum_gap = "0.1s"\n{sensor}\n'
    )
    return path


@contextlib.contextmanager
def broker_and_subscriber(tmp_path):
    with (
        broker(tmp_path / "broker", users={"anna": SECRETS["MQTT"]}) as server,
        subscriber(server.port, user="anna", password=SECRETS["MQTT"]) as listening,
    ):
        yield server, listening


def write_fan(tmp_path, calibrated):
    """A detector and a recording with two anomalous parts, and the lines of their sensor."""
    save_detector(replace(calibrated[0], alarm_rule=rule(2, 3, every=SECONDS)), tmp_path / "fan.soundness")
    parts = [hum(1_000 + number, is_anomalous=number // 6 % 2 == 1, seconds=SECONDS) for number in range(24)]
    soundfile.write(tmp_path / "fan.flac", np.concatenate(parts), RATE)
    return 'source = "replay:fan.flac?speed=0"\ndetector = "fan.soundness"\n'


def test_alarms_of_a_replay_reach_everybody_before_the_end_and_no_secret_is_seen(tmp_path, calibrated):
    sensor = write_fan(tmp_path, calibrated)
    with broker_and_subscriber(tmp_path) as (server, listening), taking_alarms() as hook, taking_alarms() as people:
        (tmp_path / "key.txt").write_text(SECRETS["KEY"])
        env = {**os.environ, **SECRETS, "HOOK": f"{hook.url}/{SECRETS['HOOK']}"}
        env["NOTIFY"] = people.url.replace("http://", f"json://anna:{SECRETS['NOTIFY']}@")
        hook.statuses.extend([503, 200, 500])
        people.statuses.append(500)
        more = '[[webhook]]\nurl_secret = { env = "HOOK" }\nsigning_key = { file = "key.txt" }\n'
        more += '[[notify]]\nname = "shift"\nurl = { env = "NOTIFY" }\n'
        with running(write(tmp_path, server, sensor, more=more), env) as process:
            assert process.wait(120) == 0, (tmp_path / "output").read_text()
        until(lambda: listening.last.get("soundness/status") == "offline")
    by_mqtt = [json.loads(text) for text in listening.events()]
    assert [one["event"] for one in by_mqtt] == ["raised", "ended", "raised"]
    assert by_mqtt == hook.came
    assert [one["title"] for one in people.came] == ["Alarm: fan", "Alarm over: fan", "Alarm: fan"]
    assert all(f"https://sound.example/alarms/{one['alarm']}" in text["message"]
               for one, text in zip(by_mqtt, people.came, strict=True))  # fmt: skip
    assert [len(one["attachments"]) for one in people.came] == [1, 0, 1]
    seen = (tmp_path / "output").read_bytes() + b"".join(
        file.read_bytes() for file in (tmp_path / "data").glob("*sql*")
    )
    assert b"ALARM fan, " in seen
    assert not re.findall(rb"hunter-\w+", seen)


def test_what_was_not_sent_before_a_kill_is_sent_after_it_and_once(tmp_path, calibrated):
    sensor = write_fan(tmp_path, calibrated)
    with broker_and_subscriber(tmp_path) as (server, listening), taking_alarms() as hook:
        path = write(tmp_path, server, sensor, more='[[webhook]]\nurl_secret = { env = "HOOK" }\n')
        server.stop()
        with running(path, {**os.environ, **SECRETS, "HOOK": "http://127.0.0.1:9"}) as process:
            until(lambda: count(tmp_path, "clips") == 24, seconds=120)
            process.kill()
        assert count(tmp_path, "deliveries WHERE sent_us IS NULL") == 6
        listening.is_subscribed.clear()
        server.start()
        assert listening.is_subscribed.wait(30)
        with running(path, {**os.environ, **SECRETS, "HOOK": hook.url}) as process:
            assert process.wait(120) == 0, (tmp_path / "output").read_text()
        until(lambda: len(listening.events()) == 3)
    assert [json.loads(text)["event"] for text in listening.events()] == ["raised", "ended", "raised"]
    assert [one["event"] for one in hook.came] == ["raised", "ended", "raised"]
    assert count(tmp_path, "deliveries WHERE sent_us IS NULL") == 0


def count(tmp_path, rows):
    """Number of rows of the store, 0 before there is one."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{tmp_path}/data/soundness.sqlite?mode=ro", uri=True)) as opened:
            return opened.execute(f"SELECT count(*) FROM {rows}").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_a_monitor_that_is_killed_is_offline_and_comes_back(tmp_path):
    with broker_and_subscriber(tmp_path) as (server, listening):
        path, env = write(tmp_path, server, 'source = "pcm:-?rate=16000"\n'), {**os.environ, **SECRETS}
        with running(path, env) as process:
            until(lambda: listening.last.get("soundness/status") == "online", seconds=120)
            assert listening.last["soundness/fan/state"] in ("waiting", "learning")
            process.send_signal(signal.SIGKILL)
            until(lambda: listening.last.get("soundness/status") == "offline")
        with running(path, env) as process:
            until(lambda: listening.last.get("soundness/status") == "online", seconds=120)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            until(lambda: listening.last.get("soundness/status") == "offline")
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "soundness.sqlite")) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_signal_ends_it_although_nothing_can_be_sent(tmp_path):
    with broker(tmp_path / "broker") as server:
        path = write(tmp_path, server, 'source = "pcm:-?rate=16000"\n')
    with running(path, {**os.environ, **SECRETS}) as process:
        until(lambda: b"connection refused" in (tmp_path / "output").read_bytes(), seconds=120)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0

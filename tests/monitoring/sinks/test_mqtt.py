"""A real broker gets every alarm, the latest state of every sensor, and the last will."""

import contextlib
import gc
import json
import shutil
import socket
import subprocess
import threading
import time

import pytest

from delivered import SOON, alarm, commit, delivering, open_store, until
from mosquitto import Mosquitto, broker, free_port, needs_mosquitto, subscriber
from soundness.errors import NotSentError, SettingsError
from soundness.monitoring.live.events import Event, Events
from soundness.monitoring.sinks.broker import Broker, try_broker
from soundness.monitoring.sinks.mqtt import MqttSink
from soundness.monitoring.sinks.topics import Topics

pytestmark = needs_mosquitto
TOPICS = Topics(prefix="soundness", home_assistant="homeassistant", client_id="monitor")


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        with opened.transaction() as transaction:
            transaction.add_sensor("pump 3", source="pcm:-", state="normal", now_us=0)
        yield opened


@contextlib.contextmanager
def sending(store, server, *, events, sensors=("pump 3",), topics=TOPICS, **broker_options):
    """A monitor's sink at work."""
    url = server if isinstance(server, str) else server.url
    found = Broker(url=url, client_id="monitor", **broker_options)
    sink = MqttSink(found, topics=topics, sensors=sensors, store=store, events=events, retry=SOON)
    with delivering(store, [sink], events=events, patience_seconds=2.0):
        yield sink


def test_an_alarm_arrives_with_its_key(store, tmp_path):
    events = Events()
    with broker(tmp_path / "broker") as server, subscriber(server.port) as listening:
        with sending(store, server, events=events):
            commit(store, events, ["mqtt"], *alarm("a"))
            until(listening.events)
        topic, payload, qos, is_retained = next(one for one in listening.came if one[0].endswith("/event"))
    assert (topic, qos, is_retained) == ("soundness/pump_3/event", 1, False)
    values = json.loads(payload)
    assert (values["id"], values["alarm"], values["event"], values["sensor"]) == ("a:raised", "a", "raised", "pump 3")


def test_from_commit_to_message_takes_little_time(store, tmp_path):
    events = Events()
    with (
        broker(tmp_path / "broker") as server,
        subscriber(server.port) as listening,
        sending(store, server, events=events),
    ):
        until(lambda: listening.last.get("soundness/status") == "online")
        waits = []
        for number in range(11):
            begin = time.monotonic()
            commit(store, events, ["mqtt"], *alarm(f"{number}"))
            until(lambda: len(listening.events()) == number + 1)  # noqa: B023  # asked before the next number
            waits.append(time.monotonic() - begin)
    assert sorted(waits)[5] < 0.2


def test_the_latest_values_stand_at_the_broker(store, tmp_path):
    events = Events()
    clip = {"outcome": "scored", "score": 1.25, "p_value": 0.5, "level_db": -32.5}
    with broker(tmp_path / "broker") as server, sending(store, server, events=events):
        events.tell(Event(kind="clip", sensor="pump 3", content=clip))
        events.tell(Event(kind="state", sensor="pump 3", content={"state": "alarm"}))
        events.tell(Event(kind="alarm", sensor="pump 3", content=alarm()[1]))
        with subscriber(server.port, topic="soundness/pump_3/+") as late:
            expected = {"state": "alarm", "score": "1.25", "p_value": "0.5", "level": "-32.5", "alarm": "ON"}
            until(lambda: late.last == {f"soundness/pump_3/{name}": value for name, value in expected.items()})
            events.tell(Event(kind="clip", sensor="pump 3", content={"outcome": "fault", "score": None}))
            events.tell(Event(kind="alarm", sensor="pump 3", content=alarm("a", "ended", ended_us=1)[1]))
            until(lambda: late.last["soundness/pump_3/alarm"] == "OFF")
            assert [late.last[f"soundness/pump_3/{name}"] for name in ("score", "p_value", "level")] == ["None"] * 3


def test_a_state_is_sent_when_it_changes_and_not_with_every_note_of_it(store, tmp_path):
    events = Events()
    with (
        broker(tmp_path / "broker") as server,
        subscriber(server.port, topic="soundness/pump_3/state") as listening,
        sending(store, server, events=events),
    ):
        until(lambda: len(listening.came) == 1)
        for number in range(5):
            content = {"state": "learning", "note": f"records normal sound: {number} min of 1 h"}
            events.tell(Event(kind="state", sensor="pump 3", content=content))
            until(lambda: listening.last.get("soundness/pump_3/state") == "learning")
        events.tell(Event(kind="state", sensor="pump 3", content={"state": "normal", "note": ""}))
        until(lambda: listening.last.get("soundness/pump_3/state") == "normal")
    assert [payload for _, payload, *_ in listening.came] == ["normal", "learning", "normal"]


def test_the_values_of_the_store_stand_at_the_broker_from_the_beginning(store, tmp_path):
    with (
        broker(tmp_path / "broker") as server,
        subscriber(server.port) as listening,
        sending(store, server, events=Events()),
    ):
        until(lambda: listening.last.get("soundness/status") == "online")
    assert listening.last["soundness/pump_3/state"] == "normal"
    assert listening.last["soundness/pump_3/alarm"] == "OFF"


def test_alarms_do_not_wait_for_the_values_of_many_sensors(store, tmp_path):
    events, names = Events(), [f"pump {number}" for number in range(100)]
    with store.transaction() as transaction:
        for name in names:
            if name != "pump 3":
                transaction.add_sensor(name, source="pcm:-", state="normal", now_us=0)
    with broker(tmp_path / "broker") as server, subscriber(server.port) as listening:
        with sending(store, server, events=events, sensors=names):
            commit(store, events, ["mqtt"], *alarm("a"))
            until(lambda: listening.last.get("soundness/status") == "online")
        came = [topic for topic, *_ in listening.came]
        assert came.index("soundness/pump_3/event") < came.index("soundness/pump_99/state")
    assert sum(topic.startswith("homeassistant/") for topic in listening.last) == 500


def test_who_acts_on_an_alarm_knows_its_reason(store, tmp_path):
    events = Events()
    with (
        broker(tmp_path / "broker") as server,
        subscriber(server.port) as listening,
        sending(store, server, events=events),
    ):
        until(lambda: listening.last.get("soundness/status") == "online")
        assert listening.last["soundness/pump_3/alarm/attributes"] == "{}"
        events.tell(Event(kind="alarm", sensor="pump 3", content=alarm()[1]))
        events.tell(Event(kind="alarm", sensor="pump 3", content={"event": "answered", "verdict": "normal"}))
        until(lambda: listening.last["soundness/pump_3/alarm"] == "ON")
        about = json.loads(listening.last["soundness/pump_3/alarm/attributes"])
    assert about["reason"] == "a tone at 3 kHz is 12 dB louder"
    topics = [topic for topic, *_ in listening.came if "/alarm" in topic and topic.startswith("soundness")]
    assert topics == ["soundness/pump_3/alarm/attributes", "soundness/pump_3/alarm"] * 2
    discovered = json.loads(listening.last["homeassistant/binary_sensor/monitor/pump_3_alarm/config"])
    assert discovered["json_attributes_topic"] == "soundness/pump_3/alarm/attributes"


def test_a_monitor_that_ends_is_offline(store, tmp_path):
    with broker(tmp_path / "broker") as server, subscriber(server.port) as listening:
        with sending(store, server, events=Events()):
            until(lambda: listening.last.get("soundness/status") == "online")
        until(lambda: listening.last.get("soundness/status") == "offline")


def test_every_alarm_arrives_although_the_broker_is_killed(store, tmp_path, caplog):
    events = Events()
    with broker(tmp_path / "broker", saves=True) as server, subscriber(server.port) as listening:
        until(lambda: server.saved().count(b"subscriber") == 2)  # the client, and its subscription
        with sending(store, server, events=events) as sink:
            for number in range(5):
                commit(store, events, ["mqtt"], *alarm(f"before {number}"))
            until(lambda: len(set(listening.events())) == 5)
            server.stop()
            for number in range(5):
                commit(store, events, ["mqtt"], *alarm(f"while {number}"))
            until(lambda: sink.problem)  # which is another as soon as it tries again
            server.start()
            for number in range(5):
                commit(store, events, ["mqtt"], *alarm(f"after {number}"))
            until(lambda: len(set(listening.events())) == 15)
    assert f"mqtt: {server.url}: the connection broke; trying again" in caplog.messages
    ids = list(dict.fromkeys(json.loads(payload)["id"] for payload in listening.events()))
    assert ids == [f"{when} {number}:raised" for when in ("before", "while", "after") for number in range(5)]


def test_a_broker_that_comes_later_gets_everything(store, tmp_path, caplog):
    server, events = Mosquitto(tmp_path / "broker"), Events()
    try:
        with sending(store, server, events=events) as sink:
            commit(store, events, ["mqtt"], *alarm("a"))
            assert "refused" in until(lambda: sink.problem)
            server.start()
            with subscriber(server.port) as listening:
                commit(store, events, ["mqtt"], *alarm("b"))
                until(listening.events)
                until(lambda: store.unsent("mqtt") == [])
                until(lambda: listening.last.get("soundness/pump_3/state") == "normal")
    finally:
        server.stop()
    assert sum("trying again" in line for line in caplog.messages) == 1


def test_a_wrong_password_is_named(store, tmp_path):
    events = Events()
    with broker(tmp_path / "broker", users={"anna": "right-one"}) as server:
        with sending(store, server, events=events, user="anna", password="wrong-one") as sink:
            problem = until(lambda: sink.problem)
        assert problem == f"{server.url}: the broker refuses user 'anna': wrong name or password"
        with pytest.raises(NotSentError, match="refuses a client without a user's name"):
            try_broker(Broker(url=server.url))
        try_broker(Broker(url=server.url, user="anna", password="right-one"))
        commit(store, events, ["mqtt"], *alarm("a"))
        with (
            subscriber(server.port, user="anna", password="right-one") as listening,
            sending(store, server, events=events, user="anna", password="right-one"),
        ):
            until(listening.events)


def test_no_broker_is_one_line():
    with pytest.raises(NotSentError, match=r"^mqtt://127.0.0.1:\d+: connection refused$"):
        try_broker(Broker(url=f"mqtt://127.0.0.1:{free_port()}"))
    with pytest.raises(NotSentError, match=r"^mqtt://nobody.invalid: ") as caught:
        try_broker(Broker(url="mqtt://nobody.invalid"))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")  # paho leaves it to the garbage collector
@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate")
def test_tls_with_a_certificate_of_ones_own(store, tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(
        [*command, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    events = Events()
    with broker(tmp_path / "broker", tls=(certificate, key)) as server:
        with pytest.raises(NotSentError, match=r"mqtts://127.*certificate verify failed"):
            try_broker(Broker(url=server.url))
        gc.collect()  # here, and not within another test
        with sending(store, server, events=events, ca_file=certificate):
            commit(store, events, ["mqtt"], *alarm("a"))
            until(lambda: store.unsent("mqtt") == [])
        with pytest.raises(SettingsError, match=r"mqtt.ca_file: .*No such file"):
            Broker(url=server.url, ca_file=tmp_path / "none.pem").context()


def test_home_assistant_finds_the_sensors_and_forgets_those_that_are_gone(store, tmp_path):
    events = Events()
    with store.transaction() as transaction:
        transaction.add_sensor("fan süd", source="pcm:-", state="normal", now_us=0)
    with broker(tmp_path / "broker") as server, subscriber(server.port) as listening:
        with sending(store, server, events=events, sensors=("pump 3", "fan süd")):
            until(lambda: listening.last.get("soundness/status") == "online")
        found = {topic: text for topic, text in listening.last.items() if topic.startswith("homeassistant/") and text}
        assert len(found) == 10
        for topic, text in found.items():
            prefix, component, node, entity, _ = topic.split("/")
            assert (prefix, node) == ("homeassistant", "monitor")
            assert component in ("sensor", "binary_sensor")
            assert entity.isascii()
            assert json.loads(text)["state_topic"] in listening.last or entity.endswith(("score", "p_value", "level"))
        listening.publish("homeassistant/sensor/another/x/config", json.dumps({"state_topic": "soundness/x/state"}))
        with sending(store, server, events=events, sensors=("pump 3",)):
            until(lambda: sum(1 for topic in found if listening.last[topic] == "") == 5)
            until(lambda: listening.last["soundness/fan_süd/state"] == "")
        assert listening.last["soundness/pump_3/state"] == "normal"
        assert listening.last["homeassistant/sensor/another/x/config"] != ""
        assert json.loads(listening.last["homeassistant/sensor/monitor/pump_3_state/config"]) == {
            "name": "State",
            "unique_id": "monitor_pump_3_state",
            "device_class": "enum",
            "options": ["waiting", "learning", "normal", "alarm", "fault", "drifting", "stopped"],
            "state_topic": "soundness/pump_3/state",
            "availability_topic": "soundness/status",
            "device": {"identifiers": ["monitor_pump_3"], "name": "pump 3", "manufacturer": "soundness"},
        }


def test_two_monitors_of_one_identity_are_told(store, tmp_path, monkeypatch):
    monkeypatch.setattr("soundness.monitoring.sinks.broker._TIMEOUT_SECONDS", 0.5)
    with (
        broker(tmp_path / "broker") as server,
        open_store(tmp_path / "other") as other,
        sending(store, server, events=Events()) as one,
        sending(other, server, events=Events()),
    ):
        until(lambda: "does another program use client_id 'monitor'?" in one.problem, seconds=60)


def test_a_broker_that_says_nothing_is_given_up(store, monkeypatch):
    monkeypatch.setattr("soundness.monitoring.sinks.broker._TIMEOUT_SECONDS", 0.2)
    events = Events()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        with sending(store, url, events=events) as sink:
            commit(store, events, ["mqtt"], *alarm("a"))
            assert until(lambda: sink.problem) == f"{url}: operation timed out"
    assert len(store.unsent("mqtt")) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "mqtt"]

"""People get two sentences, a link and a picture, through a real server; no secret is shown."""

import base64
import logging
import tempfile

import pytest

from delivered import alarm, commit, delivering, open_store, until
from soundness.errors import NotSentError, OutputError, SettingsError
from soundness.monitoring.live.events import Events
from soundness.monitoring.sinks.hidden_secrets import hide, secret_parts, secrets_hidden
from soundness.monitoring.sinks.notifications import NotifySink
from soundness.monitoring.store.records import Delivery
from webhook_server import taking_alarms

PNG = b"\x89PNG\r\n\x1a\n and so on"


def delivery(event="raised", **content):
    key, values = alarm(event=event, **content)
    return Delivery(id=1, sink="shift", key=key, content=values)


def address(server):
    return server.url.replace("http://", "json://anna:hunter-two@")


def test_a_notification_has_two_sentences_a_link_and_a_picture():
    with taking_alarms() as server:
        sink = NotifySink("shift", address(server), public_url="https://sound.example", draw=lambda _: PNG)
        sink.send(delivery())
    (came,) = server.came
    assert came["title"] == "Alarm: pump 3"
    assert came["message"].splitlines() == [
        "pump 3 has sounded anomalous since 2025-11-29 12:40:00 UTC. A tone at 3 kHz is 12 dB louder.",
        "https://sound.example/alarms/a1",
    ]
    (picture,) = came["attachments"]
    assert picture["mimetype"] == "image/png"
    assert base64.b64decode(picture["base64"]) == PNG
    assert came["type"] == "warning"


@pytest.mark.parametrize(
    ("kind", "event", "title", "words"),
    [
        (
            "anomaly",
            "ended",
            "Alarm over: pump 3",
            "pump 3 has sounded normal again since 2025-11-29 12:45:00 UTC",
        ),
        (
            "anomaly",
            "resumed",
            "Alarm again: pump 3",
            "pump 3 sounds anomalous again; it first did at 2025-11-29",
        ),
        ("fault", "raised", "Sensor fault: pump 3", "The sensor of pump 3 has given no usable sound since 2025-11-29"),
        ("drift", "raised", "Drift: pump 3", "The normal sound of pump 3 has been drifting since 2025-11-29"),
        ("else", "raised", "Event: pump 3", "Something happened at pump 3 at 2025-11-29 12:40:00 UTC."),
    ],
)
def test_each_event_has_its_words(kind, event, title, words):
    with taking_alarms() as server:
        sink = NotifySink("shift", address(server))
        sink.send(delivery(event, kind=kind, ended_us=alarm()[1]["raised_us"] + 300_000_000))
    (came,) = server.came
    assert came["title"] == title
    assert came["message"].startswith(words)
    assert "http" not in came["message"]


def test_an_alarm_arrives_without_its_picture_where_no_file_can_be_written(caplog, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with taking_alarms() as server:
        NotifySink("shift", address(server), draw=lambda _: PNG).send(delivery())
    assert server.came[0]["attachments"] == []
    assert "has no picture: " in caplog.text
    assert "gone" in caplog.text


@pytest.mark.parametrize("error", [OutputError, ZeroDivisionError])
def test_a_picture_that_cannot_be_drawn_does_not_hold_up_the_notification(caplog, error):
    def draw(_):
        raise error("the audio is gone")

    with taking_alarms() as server:
        NotifySink("shift", address(server), draw=draw).send(delivery())
    assert server.came[0]["attachments"] == []
    assert "has no picture: the audio is gone" in caplog.text


def test_a_service_that_does_not_take_it_is_one_line_without_secrets():
    with taking_alarms() as server:
        server.statuses.append(500)
        sink = NotifySink("shift", address(server))
        with pytest.raises(NotSentError, match=r"^json://: not sent: .*500") as caught:
            sink.send(delivery())
        assert "hunter-two" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_notification_is_kept_and_sent_later(tmp_path):
    with taking_alarms() as server, open_store(tmp_path / "store") as store:
        server.statuses.extend([500, 503])
        events, sink = Events(), NotifySink("shift", address(server))
        with delivering(store, [sink], events=events):
            commit(store, events, ["shift"], *alarm("a"))
            commit(store, events, ["shift"], *alarm("b"))
            until(lambda: len(server.came) == 2)
        assert store.unsent("shift") == []


@pytest.mark.parametrize("url", ["hunter-two", "nothing://hunter-two", "json://", "json://a/hunter-two, json://b"])
def test_what_is_not_one_address_is_refused_and_not_shown(url, caplog):
    caplog.set_level(logging.DEBUG)
    with secrets_hidden([url]), pytest.raises(SettingsError, match="notify shift: url: not one address") as caught:
        NotifySink("shift", url)
    assert "hunter-two" not in str(caught.value) + caplog.text


def test_no_secret_is_logged_by_any_library(caplog):
    caplog.set_level(logging.DEBUG)
    with taking_alarms() as server:
        url = address(server) + "/hunter-path?+X-Key=hunter%20header"
        with secrets_hidden([url]):
            server.statuses.append(500)
            sink = NotifySink("shift", url)
            with pytest.raises(NotSentError):
                sink.send(delivery())
            sink.send(delivery())
            try:
                raise ValueError(f"in {url}")
            except ValueError:
                logging.getLogger("any").exception("at %s", "hunter-two")
    assert caplog.records
    assert "hunter" not in caplog.text
    logging.getLogger("any").warning("hunter-two")
    assert "hunter-two" in caplog.text


def test_parts_of_a_secret_address_are_hidden_and_short_words_are_not():
    parts = secret_parts(["tgram://123456:ABCdef/-100200/?a=b", "pw12"])
    assert hide("POST /bot123456:ABCdef/ to -100200: a=b, pw12", parts) == "POST /bot***:***/ to ***: a=b, ***"
    parts = secret_parts(["https://user:word@hooks.example:8443/services/T012"])
    assert hide("https://hooks.example:8443: not sent; word, T012", parts) == (
        "https://hooks.example:8443: not sent; ***, ***"
    )

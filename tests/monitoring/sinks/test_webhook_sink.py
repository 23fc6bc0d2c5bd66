"""What a webhook gets: JSON, signed, with a key by which a repetition is known, and nothing to another host."""

import hashlib
import hmac
import json
import time

import pytest

from delivered import alarm, commit, delivering, open_store, until
from soundness.errors import NotSentError, SettingsError
from soundness.monitoring.live.events import Events
from soundness.monitoring.sinks.webhook import WebhookSink, signature
from soundness.monitoring.store.records import Delivery
from webhook_server import taking_alarms


def delivery(**content):
    key, values = alarm(**content)
    return Delivery(id=1, sink="hook", key=key, content=values)


def test_an_event_arrives_as_json():
    with taking_alarms() as server:
        WebhookSink("hook", server.url, public_url="https://sound.example/").send(delivery(ended_us=None))
    assert server.came == [
        {
            "id": "a1:raised",
            "alarm": "a1",
            "event": "raised",
            "sensor": "pump 3",
            "kind": "anomaly",
            "raised": "2025-11-29T12:40:00.000Z",
            "ended": None,
            "score": 3.5,
            "p_value": 0.001,
            "reason": "a tone at 3 kHz is 12 dB louder",
            "link": "https://sound.example/alarms/a1",
        }
    ]
    headers, _ = server.messages[0]
    assert headers["Idempotency-Key"] == "a1:raised"
    assert "X-Soundness-Signature" not in headers


def test_an_alarm_of_a_recording_names_its_file():
    with taking_alarms() as server:
        WebhookSink("hook", server.url).send(delivery(recording="2024-03-01/a.wav"))
    assert server.came[0]["recording"] == "2024-03-01/a.wav"


def test_a_signature_is_the_hmac_of_timestamp_and_body():
    with taking_alarms() as server:
        WebhookSink("hook", server.url, signing_key="kéy").send(delivery())
    headers, body = server.messages[0]
    expected = hmac.new("kéy".encode(), f"{headers['X-Soundness-Timestamp']}.".encode() + body, hashlib.sha256)
    assert headers["X-Soundness-Signature"] == f"sha256={expected.hexdigest()}"
    assert abs(time.time() - int(headers["X-Soundness-Timestamp"])) < 60


def test_a_signature_by_the_openssl_command():
    # printf '1764420000.{"id":1}' | openssl dgst -sha256 -hmac secret
    expected = "sha256=3027e219b05b0cac475e4e6ea9f0e56cf88d8a8dfa24f157dd1ad585d8c6c24c"
    assert signature(b'{"id":1}', key="secret", timestamp="1764420000") == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_null(value):
    with taking_alarms() as server:
        WebhookSink("hook", server.url).send(delivery(score=value))
    assert json.loads(server.messages[0][1], parse_constant=pytest.fail)["score"] is None


def test_a_redirection_to_another_host_is_not_followed_and_named():
    with taking_alarms() as other, taking_alarms() as server:
        server.headers["Location"] = other.url + "/secret"
        server.statuses.extend([301, 302, 303, 307, 308])
        for _ in range(5):
            with pytest.raises(NotSentError, match=r"not sent: HTTP 30\d .*a redirection to http://127") as caught:
                WebhookSink("hook", server.url).send(delivery())
            assert "secret" not in str(caught.value)
    assert other.came == server.came == []


def test_a_wait_that_the_server_asks_for_is_known():
    with taking_alarms() as server:
        server.headers["Retry-After"] = "120"
        server.statuses.append(429)
        with pytest.raises(NotSentError) as caught:
            WebhookSink("hook", server.url).send(delivery())
    assert caught.value.asked_seconds == 120.0


def test_an_event_is_repeated_with_its_key_and_a_fresh_signature(tmp_path):
    with open_store(tmp_path / "store") as store, taking_alarms() as server:
        events, sink = Events(), WebhookSink("hook", server.url, signing_key="secret")
        server.statuses.extend([503, 502])
        with delivering(store, [sink], events=events):
            commit(store, events, ["hook"], *alarm("a"))
            commit(store, events, ["hook"], *alarm("a", "ended", ended_us=1))
            until(lambda: len(server.came) == 2)
    assert [headers["Idempotency-Key"] for headers, _ in server.messages] == ["a:raised", "a:ended"]


def test_an_address_that_is_none_is_refused_without_showing_it():
    with pytest.raises(SettingsError, match="not a valid address") as caught:
        WebhookSink("hook", "hunter2://x")
    assert "hunter2" not in str(caught.value)

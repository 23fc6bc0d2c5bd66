"""An alarm has been sent when the server says so, and only then."""

import socket

import pytest

from soundness.errors import OutputError, SettingsError
from soundness.monitoring.webhook import check_url, post
from webhook_server import taking_alarms


def test_an_alarm_arrives_as_it_was_sent():
    with taking_alarms() as server:
        post(server.url, {"file": "ä.wav", "score": 1 / 3, "p_value": None}, timeout_seconds=5.0)
    assert server.came == [{"file": "ä.wav", "score": 1 / 3, "p_value": None}]


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_any_other_answer_than_success_is_not_sent(status):
    with taking_alarms() as server:
        server.statuses.append(status)
        with pytest.raises(OutputError, match=f"not sent: HTTP {status}"):
            post(server.url, {}, timeout_seconds=5.0)
    assert server.came == []


def test_a_server_that_is_not_there_is_one_line():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    with pytest.raises(OutputError, match=f"127.0.0.1:{port}/x: not sent: ") as caught:
        post(f"http://127.0.0.1:{port}/x", {}, timeout_seconds=5.0)
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_given_up():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with pytest.raises(OutputError, match=r"not sent: .*timed out"):
            post(f"http://127.0.0.1:{listening.getsockname()[1]}/x", {}, timeout_seconds=0.2)


@pytest.mark.parametrize("url", ["", "alarms", "ftp://example.org", "file:///etc/passwd", "http://"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(SettingsError, match="begins with https:// or http://"):
        check_url(url)

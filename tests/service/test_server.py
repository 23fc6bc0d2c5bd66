"""The service of a store: pages, sensors, history, and an end without anything left."""

import socket
import threading

import pytest

from delivered import until
from served import add_sensor, served, two_sensors
from soundness.errors import OutputError, SettingsError
from soundness.monitoring.live.events import Event
from soundness.service.server import open_socket, shown_address


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), two_sensors) as found:
        yield found


def test_the_overview_shows_every_sensor_escaped_and_alarms_first(running):
    with running.client() as client:
        page = client.get("/").text
    assert "<script>alert" not in page
    assert page.index("fan &lt;script&gt;") < page.index("pump 3")
    assert "<b>1</b> alarm" in page
    assert 'data-p="0.5,0.5,0.5,0.5,0.5"' in page


def test_sensors_come_with_their_last_clips_and_an_etag(running):
    with running.client() as client:
        first = client.get("/api/sensors")
        again = client.get("/api/sensors", headers={"If-None-Match": first.headers["etag"]})
    items = {one["name"]: one for one in first.json()["items"]}
    assert items["pump 3"]["p_values"] == [0.5] * 5
    assert items["pump 3"]["alarm"] is None
    assert items["fan <script>alert(1)"]["alarm"]["id"] == running.alarms[0].key
    assert again.status_code == 304
    assert again.content == b""


def test_a_history_holds_every_clip_once(running):
    with running.client() as client:
        for span in ("hour", "day", "week", "month"):
            found = client.get("/api/sensors/1/history", params={"span": span}).json()
            assert sum(one["n_clips"] for one in found["buckets"]) == 5
            assert max(one["highest_score"] for one in found["buckets"]) == 15.0


def test_what_does_not_exist_is_a_problem(running):
    with running.client() as client:
        found = client.get("/api/sensors/77/history")
        invalid = client.get("/api/sensors/77/history", params={"span": "aeon"})
    assert found.status_code == 404
    assert found.headers["content-type"] == "application/problem+json"
    assert found.json()["detail"] == "no sensor has the number 77"
    assert invalid.status_code == 422


def test_the_service_ends_with_a_listener_and_leaves_no_thread(tmp_path):
    before = set(threading.enumerate())
    with served(tmp_path, lambda store: (add_sensor(store, "pump"), {})[1]) as running:
        client = running.client()
        stream = client.stream("GET", "/api/events")
        lines = stream.__enter__().iter_lines()
        assert next(lines).startswith("retry")
    client.close()
    assert not set(threading.enumerate()) - before


def is_closed(connection):
    """True if the other side has ended a connection."""
    connection.setblocking(False)
    try:
        return connection.recv(1_000) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\na",
    ],
    ids=["nothing", "header", "body"],
)
def test_a_request_that_does_not_come_ends_its_connection_and_no_other(tmp_path, monkeypatch, begun):
    monkeypatch.setattr("soundness.service.connections._REQUEST_SECONDS", 1.0)
    monkeypatch.setattr("soundness.service.connections._LOOK_SECONDS", 0.1)
    with served(tmp_path, lambda store: (add_sensor(store, "pump"), {})[1]) as running:
        place = ("127.0.0.1", int(running.address.rsplit(":", 1)[1].strip("/")))
        with running.client() as client, client.stream("GET", "/api/events") as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry")
            with socket.create_connection(place) as slow:
                slow.sendall(begun)
                until(lambda: is_closed(slow))
            running.parts.events.tell(Event(kind="state", sensor="pump", content={"state": "fault"}))
            assert any("fault" in line for line in lines)


def test_connections_that_wait_make_room_for_those_that_ask(tmp_path, monkeypatch):
    monkeypatch.setattr("soundness.service.connections._MOST", 20)
    with served(tmp_path) as running:
        place = ("127.0.0.1", int(running.address.rsplit(":", 1)[1].strip("/")))
        waiting = [socket.create_connection(place) for _ in range(60)]
        with running.client() as client:
            assert client.get("/health").status_code == 200
        until(lambda: sum(map(is_closed, waiting)) >= 40)
        for one in waiting:
            one.close()


def test_a_port_that_is_taken_and_a_host_that_is_none_are_named():
    taken = open_socket("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(OutputError, match=f"127.0.0.1:{port}: Address already in use"):
        open_socket("127.0.0.1", port)
    assert shown_address(taken) == f"http://127.0.0.1:{port}/"
    taken.close()
    with pytest.raises(SettingsError, match=r"service\.host: no\.such\.host\.invalid"):
        open_socket("no.such.host.invalid", 0)

"""A real broker of MQTT for a test, which can be killed and comes back, and a subscriber."""

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from delivered import until

needs_mosquitto = pytest.mark.skipif(shutil.which("mosquitto") is None, reason="mosquitto is not installed")


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Mosquitto:
    """A broker; `users` are names and passwords, `tls` is certificate and key; one that `saves` forgets nothing."""

    def __init__(self, folder: Path, *, users=None, tls=None, saves=False):
        self.folder, self.port, self.process = folder, free_port(), None
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"listener {self.port} 127.0.0.1", "user root"]  # which is for tests that run as root
        if saves:
            lines += ["persistence true", f"persistence_location {folder}/"]
            lines += ["autosave_on_changes true", "autosave_interval 1"]
        lines.append(f"allow_anonymous {'false' if users else 'true'}")
        if users:
            (folder / "users").write_text("".join(f"{name}:{text}\n" for name, text in users.items()))
            subprocess.run(["mosquitto_passwd", "-U", folder / "users"], check=True)
            lines.append(f"password_file {folder}/users")
        if tls is not None:
            lines += [f"certfile {tls[0]}", f"keyfile {tls[1]}"]
        (folder / "conf").write_text("\n".join(lines) + "\n")
        self.url = f"mqtt{'s' if tls else ''}://127.0.0.1:{self.port}"

    def start(self):
        """Start it, or start it again."""
        with (self.folder / "log").open("ab") as log:
            command = [shutil.which("mosquitto"), "-c", self.folder / "conf"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._listens)
        return self

    def _listens(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            return True
        return False

    def saved(self):
        """Content of the file that it saves; empty before there is one."""
        file = self.folder / "mosquitto.db"
        return file.read_bytes() if file.exists() else b""

    def stop(self, number=signal.SIGKILL):
        """End it, as a crash does unless told otherwise."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def broker(folder, **options):
    """A broker for the time of a test."""
    server = Mosquitto(folder, **options)
    try:
        yield server.start()
    finally:
        server.stop()


class Subscriber:
    """All messages of a broker, as they came, and the last of each topic."""

    def __init__(self, port, *, user=None, password=None, topic="#", client_id="subscriber"):
        self.n_connections = 0
        self.came, self.last, self.is_subscribed = [], {}, threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        if user is not None:
            self._client.username_pw_set(user, password)
        self._client.on_connect = lambda client, *_: self._connected(client, topic)
        self._client.on_subscribe = lambda *_: self.is_subscribed.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port, keepalive=5)
        self._client.loop_start()
        assert self.is_subscribed.wait(30)

    def _connected(self, client, topic):
        self.n_connections += 1
        client.subscribe(topic, qos=1)

    def _take(self, _client, _data, message):
        self.last[message.topic] = message.payload.decode()
        self.came.append((message.topic, message.payload.decode(), message.qos, bool(message.retain)))

    def events(self):
        """Payloads of the alarms."""
        return [payload for topic, payload, _, _ in list(self.came) if topic.endswith("/event")]

    def publish(self, topic, payload, *, retain=True):
        """Publish a message, and wait for the broker's receipt."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(30)

    def close(self):
        """End."""
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def subscriber(port, **options):
    """A subscriber for the time of a test."""
    found = Subscriber(port, **options)
    try:
        yield found
    finally:
        found.close()

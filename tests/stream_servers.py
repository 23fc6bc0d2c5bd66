"""Servers of streams for tests: of ffmpeg, of GStreamer, and small ones that misbehave."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from records_server import listening

SYSTEM_PYTHON = "/usr/bin/python3"

RTSP = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
server = GstRtspServer.RTSPServer.new()
server.set_service("0"); server.set_address("127.0.0.1")
factory = GstRtspServer.RTSPMediaFactory.new()
factory.set_launch("( audiotestsrc is-live=true freq=700 ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! "
                   "rtpL16pay name=pay0 pt=96 )")
server.get_mount_points().add_factory("/hall", factory)
if len(sys.argv) > 1:
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*sys.argv[1].split(":")), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def encoded(*arguments: str) -> bytes:
    """What ffmpeg makes of its arguments."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", "-nostdin", *arguments, "-"]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


@contextmanager
def rtsp_server(user_and_password: str = "") -> Iterator[int]:
    """A server of GStreamer with a tone of 700 Hz at /hall, 48 kHz, two channels; its port."""
    try:
        probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
        subprocess.run([SYSTEM_PYTHON, "-c", probe], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("GStreamer's RTSP server is not installed (gir1.2-gst-rtsp-server-1.0, python3-gi)")
    arguments = [user_and_password] if user_and_password else []
    server = subprocess.Popen(
        [SYSTEM_PYTHON, "-c", RTSP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@contextmanager
def ffmpeg_server(seconds: float, port: int = 0) -> Iterator[int]:
    """A live stream of ffmpeg, MP3 of 900 Hz at 44.1 kHz, for one client; its port."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    port = port or free_port()
    source = f"sine=frequency=900:sample_rate=44100:duration={seconds}"
    server = subprocess.Popen(
        [
            *("ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i", source, "-f", "mp3", "-listen", "1"),
            f"http://127.0.0.1:{port}/hall.mp3",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        server.kill()
        server.wait()


@contextmanager
def ffmpeg_sender(scheme: str, *arguments: str) -> Iterator[int]:
    """Live sound of ffmpeg, 900 Hz, sent to a port of this computer."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    port = free_port()
    source = ("-re", "-f", "lavfi", "-i", "sine=frequency=900:sample_rate=44100:duration=60")
    sender = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-nostdin", *source, *arguments, f"{scheme}://127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        sender.kill()
        sender.wait()


@contextmanager
def http_server(bodies: Sequence[bytes], *, kind: str = "audio/mpeg") -> Iterator[tuple[int, list[str]]]:
    """A server that sends a body after the other, one for each request, the last again and again; port and paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies[min(len(asked), len(bodies) - 1)]
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:  # the client has gone
                return

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with listening(Handler) as port:
        yield port, asked


@contextmanager
def silent_server(answer: bytes = b"") -> Iterator[int]:
    """A server that accepts, sends an answer and then nothing; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    client, _ = listener.accept()
                    held.append(client)
                    client.sendall(answer)
            except OSError:
                return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10.0)
        for client in held:
            client.close()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(condition, *, seconds: float = 60.0) -> None:
    """Wait until something is true."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)

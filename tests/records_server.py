"""A server on localhost that answers as Zenodo does, and fails in the ways that servers fail."""

import hashlib
import json
import socket
import struct
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from soundness.data.download_http import RemoteFile, RetryPolicy


@dataclass
class Fault:
    """What goes wrong with one answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    resets: bool = False
    ignores_range: bool = False
    body: bytes | None = None
    is_chunked: bool = False


class RecordsServer:
    """Records by number, files by name; faults by name, one for each request, in order."""

    def __init__(self) -> None:
        self.records: dict[int, dict[str, bytes]] = {}
        self.descriptions: dict[int, dict] = {}  # what replaces the true one
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.asked: list[tuple[str, str | None]] = []
        self.agents: set[str] = set()
        self.url = ""

    def add(self, number: int, key: str, content: bytes) -> None:
        self.records.setdefault(number, {})[key] = content

    def describe(self, number: int) -> dict:
        files = [
            {
                "id": "0b1c",
                "key": key,
                "size": len(content),
                "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                "links": {"self": f"{self.url}/records/{number}/files/{key}/content"},
            }
            for key, content in self.records[number].items()
        ]
        return {"id": number, "doi": f"10.5281/zenodo.{number}", "files": files, "metadata": {}}

    def remote(self, key: str, number: int = 1) -> RemoteFile:
        (described,) = [file for file in self.describe(number)["files"] if file["key"] == key]
        return RemoteFile(described["links"]["self"], described["size"], described["checksum"].removeprefix("md5:"))

    def ranges(self, key: str) -> list[str | None]:
        return [given for path, given in self.asked if path.endswith(f"/{key}/content")]


def _handler(server: RecordsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers["Range"]))
            server.agents.add(self.headers["User-Agent"])
            parts = self.path.split("/")
            name = parts[-2] if parts[-1] == "content" else parts[-1]
            fault = server.faults[name].popleft() if server.faults[name] else Fault()
            if fault.status:
                self._send(fault.status, fault.headers, fault.body or b"", Fault())
                return
            record = server.records.get(int(parts[3]), None) if len(parts) > 3 else None
            if record is None or (parts[-1] == "content" and name not in record):
                self._send(404, {}, b"no such thing", Fault())
            elif parts[-1] == "content":
                self._send_file(record[name] if fault.body is None else fault.body, fault)
            else:
                description = server.descriptions.get(int(name), None) or server.describe(int(name))
                body = json.dumps(description).encode() if fault.body is None else fault.body
                self._send(200, {"Content-Type": "application/json", **fault.headers}, body, fault)

        def _send_file(self, content: bytes, fault: Fault) -> None:
            headers = {"Content-Type": "application/zip", **fault.headers}
            given = self.headers["Range"]
            if given is None or fault.ignores_range:
                self._send(200, headers, content, fault)
                return
            start = int(given.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self._send(416, {"Content-Range": f"bytes */{len(content)}"}, b"", fault)
                return
            came = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, {"Content-Range": came, **headers}, content[start:], fault)

        def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if not fault.is_chunked:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: fault.cut_after])
            if fault.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler], *, port: int = 0) -> Iterator[int]:
    """The port on which a server answers for the time of a test; 0 takes a free one."""
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def serving() -> Iterator[RecordsServer]:
    """A server for the time of a test."""
    server = RecordsServer()
    with listening(_handler(server)) as port:
        server.url = f"http://127.0.0.1:{port}/api"
        yield server


def impatience(waits: list[float] | None = None, **options: float) -> RetryPolicy:
    """RetryPolicy that waits not at all, and notes how long it would have."""
    sleep: Callable[[float], None] = (lambda _: None) if waits is None else waits.append
    return RetryPolicy(sleep=sleep, jitter=lambda: 0.0, timeout_seconds=5.0, **options)

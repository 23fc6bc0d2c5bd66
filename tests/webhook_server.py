"""A server on localhost that takes alarms, or does not."""

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from records_server import listening


class WebhookServer:
    """What came, and the statuses of the next answers; 200 where none are set."""

    def __init__(self) -> None:
        self.came: list[dict] = []
        self.messages: list[tuple[dict[str, str], bytes]] = []  # of those that came, their headers and bodies
        self.statuses: deque[int] = deque()
        self.headers: dict[str, str] = {}  # of every answer
        self.url = ""


@contextmanager
def taking_alarms(port: int = 0) -> Iterator[WebhookServer]:
    """A server for the time of a test."""
    server = WebhookServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = server.statuses.popleft() if server.statuses else 200
            if status == 200:
                assert self.headers["Content-Type"] == "application/json"
                server.messages.append((dict(self.headers), body))
                server.came.append(json.loads(body))
            self.send_response(status)
            if status == 302 and "Location" not in server.headers:
                self.send_header("Location", "/elsewhere")
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with listening(Handler, port=port) as found:
        server.url = f"http://127.0.0.1:{found}/alarms"
        yield server

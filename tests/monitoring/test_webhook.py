"""An event has been sent when the server says so, and only then."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import certifi
import pytest

from soundness.errors import OutputError, SettingsError
from soundness.monitoring.webhook import check_url, post_bytes, shown_url
from webhook_server import taking_alarms


def post(url, body=b"{}", *, timeout_seconds=5.0):
    post_bytes(url, body, headers={"Content-Type": "application/json"}, timeout_seconds=timeout_seconds)


def test_an_event_arrives_as_it_was_sent():
    body = '{"file": "ä.wav", "score": 0.25}'.encode()
    with taking_alarms() as server:
        post(server.url, body)
    assert [came for _, came in server.messages] == [body]


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_any_other_answer_than_success_is_not_sent(status):
    with taking_alarms() as server:
        server.statuses.append(status)
        with pytest.raises(OutputError, match=f"not sent: HTTP {status}"):
            post(server.url, timeout_seconds=5.0)
    assert server.came == []


def test_a_server_that_is_not_there_is_one_line():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    with pytest.raises(OutputError, match=f"127.0.0.1:{port}: not sent: ") as caught:
        post(f"http://127.0.0.1:{port}/x", timeout_seconds=5.0)
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_given_up():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with pytest.raises(OutputError, match=r"not sent: .*timed out"):
            post(f"http://127.0.0.1:{listening.getsockname()[1]}/x", timeout_seconds=0.2)


BAD_HOSTS = ["http://a..b/x", "http://xn--a/", f"http://{'a' * 64}/", "http://[::1/"]


@pytest.mark.parametrize("url", [*BAD_HOSTS, "http://127.0.0.1:99999/"])
def test_an_address_without_a_possible_host_or_port_is_one_line(url):
    with pytest.raises(OutputError) as caught:
        post(url, timeout_seconds=5.0)
    assert ": not sent: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("proxy", "cause"), [("socks5://127.0.0.1:9", "SOCKS"), ("gopher://127.0.0.1:9", "scheme")])
def test_a_proxy_that_cannot_be_used_is_one_line(monkeypatch, proxy, cause):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(OutputError, match=f"^http://127.0.0.1:9: not sent: .*{cause}"):
        post("http://127.0.0.1:9/", timeout_seconds=5.0)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes the certificate")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the certificates are in no folder")
def test_a_certificate_that_this_computer_trusts_is_enough(tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", key]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    name = subprocess.run(
        ["openssl", "x509", "-noout", "-hash", "-in", certificate], check=True, capture_output=True, text=True
    ).stdout.strip()
    certificate.rename(tmp_path / f"{name}.0")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())  # httpx alone would stop here
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / f"{name}.0", key)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.handle_request)
        thread.start()
        post(f"https://127.0.0.1:{server.server_port}/", timeout_seconds=5.0)
        thread.join()


@pytest.mark.parametrize("url", [*BAD_HOSTS, "http://127.0.0.1:99999/"])
def test_an_address_that_leads_nowhere_is_refused_before_a_watch(url):
    with pytest.raises(SettingsError, match="address") as caught:
        check_url(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=c", "http://[::1]:80/", "http://müll.example/", "http://a_b/"]
)
def test_an_address_is_accepted(url):
    check_url(url)


@pytest.mark.parametrize("url", ["", "alarms", "ftp://example.org", "file:///etc/passwd", "http://"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(SettingsError, match="begins with https:// or http://"):
        check_url(url)


SECRET = "http://user:S3CRET@127.0.0.1:9/services/S3CRET?token=S3CRET"


@pytest.mark.parametrize(
    "url", ["http://[::1/S3CRET", "http://host:S3CRET/", "ftp://S3CRET/", "http://a b/S3CRET", "S3CRET"]
)
def test_an_address_that_is_refused_is_not_shown(url):
    with pytest.raises(SettingsError, match=r"webhook: not a valid address") as caught:
        check_url(url)
    assert "S3CRET" not in str(caught.value)


def test_of_an_address_that_does_not_answer_only_the_host_is_shown():
    assert shown_url(SECRET) == "http://127.0.0.1:9"
    with pytest.raises(OutputError, match=r"^http://127\.0\.0\.1:9: not sent: ") as caught:
        post(SECRET, timeout_seconds=1.0)
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "head", "drop"),
    [("http", b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), ("https", b"\x16\x03\x03\x40\x00\x02\x00\x3f\xf0", b"\x00")],
)
def test_an_answer_that_drips_does_not_hold_up_a_watch(scheme, head, drop):
    def drip():
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(head)
            while True:
                connection.sendall(drop)
                time.sleep(0.01)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        threading.Thread(target=drip, daemon=True).start()
        with pytest.raises(OutputError, match=r"not sent: .*(no answer in time|timed out)"):
            post(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/", timeout_seconds=0.2)

"""Fetching against a real server that fails in every way."""

import contextlib
import itertools
import logging
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

import numpy as np
import pytest

from records_server import Fault, impatience, serving
from soundness.data.download_http import RemoteFile, RetryPolicy, fetch, fetch_text
from soundness.errors import DownloadError, OutputError

CONTENT = np.random.default_rng(0).bytes(300_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.add(1, "a.zip", CONTENT)
        yield server


def fetched(server, tmp_path, *, waits=None, remote=None, progress=None, **options):
    fetch(
        server.remote("a.zip") if remote is None else remote,
        tmp_path / "a.zip",
        retry=impatience(waits, **options),
        progress=progress,
    )
    return (tmp_path / "a.zip").read_bytes()


def test_a_file_comes_whole_and_nothing_else_is_left(server, tmp_path):
    steps = []
    assert fetched(server, tmp_path, progress=lambda done, total: steps.append((done, total))) == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert steps[-1] == (300_000, 300_000)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


def test_the_server_is_told_who_asks(server, tmp_path):
    fetched(server, tmp_path)
    (agent,) = server.agents
    assert agent.startswith("soundness/")


def test_a_connection_that_breaks_several_times_is_continued_where_it_broke(server, tmp_path):
    server.faults["a.zip"].extend([Fault(cut_after=100_000), Fault(cut_after=50_000), Fault(cut_after=1)])
    assert fetched(server, tmp_path) == CONTENT
    assert server.ranges("a.zip") == [None, "bytes=100000-", "bytes=150000-", "bytes=150001-"]


def test_a_connection_that_is_reset_is_continued(server, tmp_path):
    server.faults["a.zip"].extend([Fault(cut_after=100_000, resets=True)] * 2)
    assert fetched(server, tmp_path) == CONTENT
    assert len(server.ranges("a.zip")) == 3


def test_a_file_without_announced_length_that_ends_early_is_continued(server, tmp_path):
    server.faults["a.zip"].append(Fault(cut_after=7, is_chunked=True))
    assert fetched(server, tmp_path) == CONTENT
    assert server.ranges("a.zip") == [None, "bytes=7-"]


def test_tries_are_counted_from_the_last_that_brought_something(server, tmp_path):
    server.faults["a.zip"].extend([Fault(cut_after=1000)] * 20)
    assert fetched(server, tmp_path, n_tries=2) == CONTENT


def test_what_an_interrupted_call_left_is_continued(server, tmp_path):
    (tmp_path / "a.zip.partial").write_bytes(CONTENT[:200_000])
    assert fetched(server, tmp_path) == CONTENT
    assert server.ranges("a.zip") == ["bytes=200000-"]


def test_a_partial_file_that_is_whole_is_not_asked_for(server, tmp_path):
    (tmp_path / "a.zip.partial").write_bytes(CONTENT)
    assert fetched(server, tmp_path) == CONTENT
    assert server.ranges("a.zip") == []


@pytest.mark.parametrize(
    ("n_bytes", "asked"),
    [(1000, ["bytes=1000-", None]), (300_000, [None]), (300_001, [None])],
    ids=["short", "as long", "too long"],
)
def test_what_was_left_of_another_file_is_fetched_anew(server, tmp_path, n_bytes, asked):
    (tmp_path / "a.zip.partial").write_bytes(b"x" * n_bytes)
    assert fetched(server, tmp_path) == CONTENT
    assert server.ranges("a.zip") == asked


def test_a_server_that_ignores_ranges_begins_anew(server, tmp_path):
    server.faults["a.zip"].extend([Fault(cut_after=100_000), Fault(ignores_range=True)])
    assert fetched(server, tmp_path) == CONTENT
    assert server.ranges("a.zip") == [None, "bytes=100000-"]


def test_a_server_that_ignores_ranges_and_breaks_at_the_same_byte_is_given_up(server, tmp_path):
    server.faults["a.zip"].extend([Fault(cut_after=100_000, ignores_range=True)] * 50)
    with pytest.raises(DownloadError, match="200,000 bytes are missing; given up after 3 tries"):
        fetched(server, tmp_path, n_tries=3)
    assert len(server.ranges("a.zip")) == 3


def test_a_server_that_begins_anew_and_breaks_now_here_now_there_is_given_up(server, tmp_path):
    server.faults["a.zip"].extend(
        [Fault(cut_after=2000, ignores_range=True), Fault(cut_after=1000, ignores_range=True)] * 9
    )
    with pytest.raises(DownloadError, match="given up after 3 tries"):
        fetched(server, tmp_path, n_tries=3)
    assert len(server.ranges("a.zip")) == 3


def test_a_server_that_sends_another_range_begins_anew(server, tmp_path):
    wrong = Fault(headers={"Content-Range": "bytes 0-299999/300000"})
    server.faults["a.zip"].extend([Fault(cut_after=10), wrong])
    assert fetched(server, tmp_path) == CONTENT
    assert server.ranges("a.zip") == [None, "bytes=10-", None]


def test_a_range_that_cannot_be_had_begins_anew(server, tmp_path):
    server.faults["a.zip"].extend([Fault(cut_after=10), Fault(status=416)])
    assert fetched(server, tmp_path) == CONTENT
    assert server.ranges("a.zip") == [None, "bytes=10-", None]


def test_a_server_that_is_busy_is_asked_again_when_it_says(server, tmp_path, caplog):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    server.faults["a.zip"].extend(
        [
            Fault(status=503, headers={"Retry-After": "17"}),
            Fault(status=429, headers={"Retry-After": later}),
            Fault(status=503, headers={"Retry-After": "soon"}),
        ]
    )
    waits = []
    with caplog.at_level(logging.WARNING, logger="soundness"):
        assert fetched(server, tmp_path, waits=waits) == CONTENT
    assert waits[0] == 17
    assert 95 < waits[1] <= 100
    assert waits[2] == 4  # the third failure in a row: 2, 4, 8 seconds, of which half
    assert caplog.messages[0].endswith("/a.zip/content: HTTP 503 Service Unavailable; trying again in 17 s")


def test_a_server_that_asks_for_too_long_a_wait_is_given_up(server, tmp_path):
    server.faults["a.zip"].append(Fault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(DownloadError, match="HTTP 429 Too Many Requests; the server asks to come back in 60 minutes"):
        fetched(server, tmp_path)


def test_waits_double_up_to_the_longest_and_then_it_is_given_up(server, tmp_path):
    server.faults["a.zip"].extend([Fault(status=500)] * 9)
    waits = []
    with pytest.raises(DownloadError, match="HTTP 500 Internal Server Error; given up after 6 tries"):
        fetched(server, tmp_path, waits=waits, longest_seconds=12.0)
    assert waits == [1, 2, 4, 6, 6]
    assert len(server.ranges("a.zip")) == 6


def test_the_wait_lies_between_half_and_all_of_the_longest():
    assert RetryPolicy(jitter=lambda: 0.0).wait_seconds(3, 0.0) == 4.0
    assert RetryPolicy(jitter=lambda: 0.5).wait_seconds(3, 0.0) == 6.0
    assert RetryPolicy(jitter=lambda: 0.5).wait_seconds(3, 7.0) == 7.0


def test_what_is_not_there_is_asked_for_once(server, tmp_path):
    remote = RemoteFile(f"{server.url}/records/1/files/b.zip/content", 1, "0" * 32)
    with pytest.raises(DownloadError, match=r"b\.zip/content: HTTP 404 Not Found$"):
        fetched(server, tmp_path, remote=remote)
    assert len(server.asked) == 1


def test_a_wrong_checksum_is_fetched_twice_and_refused(server, tmp_path):
    remote = RemoteFile(server.remote("a.zip").url, len(CONTENT), "0" * 32)
    with pytest.raises(DownloadError, match=r"its MD5 is [0-9a-f]{32}, expected 0{32}; twice"):
        fetched(server, tmp_path, remote=remote)
    assert server.ranges("a.zip") == [None, None]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_too_short_on_the_server_is_refused_before_it_comes(server, tmp_path):
    server.faults["a.zip"].append(Fault(body=CONTENT[:1000]))
    with pytest.raises(DownloadError, match="sends 1,000 bytes of application/zip, expected 300,000"):
        fetched(server, tmp_path)


def test_more_than_was_promised_is_refused(server, tmp_path):
    server.faults["a.zip"].append(Fault(body=CONTENT + b"x", is_chunked=True))
    with pytest.raises(DownloadError, match="more came than the 300,000 bytes"):
        fetched(server, tmp_path)


def test_a_redirection_is_followed_and_one_to_an_error_page_refused(server, tmp_path):
    server.add(1, "page.html", b"<html>Sorry</html>")
    server.add(1, "moved.zip", CONTENT)
    there = {"Location": server.remote("moved.zip").url}
    server.faults["a.zip"].append(Fault(cut_after=5))
    server.faults["a.zip"].append(Fault(status=302, headers=there))
    assert fetched(server, tmp_path) == CONTENT
    assert server.ranges("moved.zip") == ["bytes=5-"]
    server.faults["a.zip"].append(Fault(status=302, headers={"Location": server.remote("page.html").url}))
    with pytest.raises(DownloadError, match=r"sends 18 bytes .* expected 300,000; an error page"):
        fetched(server, tmp_path)


def test_a_redirection_to_a_file_of_this_computer_is_refused(server, tmp_path):
    (tmp_path / "secret").write_bytes(CONTENT)
    server.faults["a.zip"].append(Fault(status=302, headers={"Location": (tmp_path / "secret").as_uri()}))
    with pytest.raises(
        DownloadError,
        match=r"content: expected an address that begins with https:// .*, came a redirection to file:///?.*secret$",
    ):
        fetched(server, tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "a.zip", "http://a..b/x"])
def test_an_address_of_another_kind_is_refused(url):
    with pytest.raises(DownloadError, match=r"expected an address|not a valid address"):
        fetch_text(url, retry=impatience())


@pytest.mark.parametrize(("proxy", "cause"), [("socks5://127.0.0.1:9", "SOCKS"), ("gopher://127.0.0.1:9", "scheme")])
def test_a_proxy_that_cannot_be_used_is_one_line(monkeypatch, proxy, cause):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(DownloadError, match=f"^http://127.0.0.1:9/: the proxy in the environment .*{cause}"):
        fetch_text("http://127.0.0.1:9/", retry=impatience())


def test_a_server_that_is_not_there_is_given_up():
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
        with pytest.raises(DownloadError, match="connection refused; given up after 2 tries"):
            fetch_text(url, retry=impatience(n_tries=2))


def test_a_server_that_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        retry = RetryPolicy(n_tries=2, timeout_seconds=0.05, sleep=lambda _: None)
        with pytest.raises(DownloadError, match="timed out; given up after 2 tries"):
            fetch_text(url, retry=retry)


def test_a_text_that_is_cut_is_fetched_again(server):
    server.faults["1"].append(Fault(cut_after=20))
    text = fetch_text(f"{server.url}/records/1", retry=impatience())
    assert text.endswith(b"}")
    assert len(server.asked) == 2


def test_a_folder_that_is_not_there_is_no_failure_of_the_network(server, tmp_path):
    with pytest.raises(OutputError, match=r"a\.zip\.partial: cannot be written: No such file or directory"):
        fetched(server, tmp_path / "nowhere")
    assert len(server.asked) == 1


@contextlib.contextmanager
def answering(*parts, seconds=0.0):
    """The address of a server that sends parts of its answer to each request one by one, the last again and again."""
    is_over = threading.Event()

    def answer(connection):
        with connection, contextlib.suppress(OSError):
            connection.recv(10_000)
            for part in itertools.chain(parts, itertools.repeat(parts[-1])):
                connection.sendall(part)
                if is_over.wait(seconds if part else None):  # else it would send for as long as the tests run
                    return

    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/a.zip"
        finally:
            is_over.set()
            listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for the next request


NOTICES = b"HTTP/1.1 103 Early Hints\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "seconds"),
    [((NOTICES,), 0.0), ((b"HTTP/1.1 200 OK\r\n", b"A"), 0.01), ((b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), 0.01)],
    ids=["notices", "a header", "headers"],
)
def test_an_answer_that_never_begins_is_given_up(parts, seconds):
    retry = RetryPolicy(n_tries=2, timeout_seconds=0.2, sleep=lambda _: None)
    began = time.monotonic()
    with answering(*parts, seconds=seconds) as url, pytest.raises(DownloadError, match=r"given up after 2 tries"):
        fetch_text(url, retry=retry)
    assert time.monotonic() - began < 10.0


def test_a_content_that_drips_is_given_up_and_what_came_is_kept(tmp_path):
    retry = RetryPolicy(n_tries=2, timeout_seconds=0.2, sleep=lambda _: None)
    remote_of = partial(RemoteFile, size=100_000, md5="0" * 32)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with (
        answering(head, b"x", seconds=0.01) as url,
        pytest.raises(DownloadError, match=r"bytes a second, which is given"),
    ):
        fetch(remote_of(url), tmp_path / "a.zip", retry=retry)
    assert (tmp_path / "a.zip.partial").stat().st_size > 0


@pytest.mark.parametrize(
    "wait",
    [
        "\xb2",
        "9" * 5_000,
        "-5",
        "nan",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ],
)
def test_a_wait_that_nobody_can_mean_is_one_line(wait):
    head = f"HTTP/1.1 503 Busy\r\nRetry-After: {wait}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    retry = RetryPolicy(n_tries=2, timeout_seconds=1.0, sleep=lambda _: None)
    with answering(head, b"") as url, pytest.raises(DownloadError, match=r"HTTP 503") as caught:
        fetch_text(url, retry=retry)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", ["9" * 5_000, "-1", "\xb2", "1,2", "1e3"])
def test_a_length_that_is_no_number_is_one_line(length):
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nabc".encode("latin-1")
    retry = RetryPolicy(n_tries=1, timeout_seconds=1.0, sleep=lambda _: None)
    with answering(head, b"") as url, contextlib.suppress(DownloadError):
        fetch_text(url, retry=retry)

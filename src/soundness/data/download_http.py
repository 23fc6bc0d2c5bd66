"""Files over HTTP: tried again, continued where they broke off, and checked before they get their name."""

import hashlib
import importlib.metadata
import logging
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from soundness.aliases import CountProgress
from soundness.errors import DownloadError
from soundness.files.atomic import PARTIAL_SUFFIX, output_errors
from soundness.regular_files import open_regular

__all__ = [
    "Deadline",
    "RemoteFile",
    "RetryPolicy",
    "fetch",
    "fetch_text",
    "in_words",
    "md5_of",
    "seconds_asked",
    "web_client",
]

_LONGEST_TEXT = 16 << 20  # bytes; the description of a record has about ten thousand
_TRIED_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOGGER = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """File on a server: address (http or https), size in bytes and MD5 in hexadecimal digits."""

    url: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Number of tries, and the waits between them.

    ``n_tries`` in a row without a new byte end a download. The wait doubles with every failure in a row, from
    ``first_seconds`` to ``longest_seconds``, and is a random time between half and all of that, so that clients that
    were refused together do not return together. A server that states a wait is obeyed, up to
    ``longest_asked_seconds``. Silence of ``timeout_seconds`` counts as a failure, as does an answer that has not begun
    after twice that; a server that sends less than ``slowest_bytes_per_second`` over as long is given up. ``sleep``
    waits; ``jitter`` returns a
    random number of [0, 1).
    """

    n_tries: int = 6
    first_seconds: float = 2.0
    longest_seconds: float = 60.0
    longest_asked_seconds: float = 300.0
    timeout_seconds: float = 30.0
    slowest_bytes_per_second: float = 1_000.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def wait_seconds(self, n_failures: int, asked_seconds: float) -> float:
        """Wait after a number of failures in a row, at least as long as the server asked for (or 0)."""
        longest = min(self.first_seconds * 2.0 ** (n_failures - 1), self.longest_seconds)
        return max(longest * (1.0 + self.jitter()) / 2.0, asked_seconds)


class Deadline:
    """Context that ends the connections of a request when time is up, however slowly the server goes on answering.

    A timeout of HTTPX begins anew with each byte; a server that sends one a second, or notices without end, would keep
    a request for ever.

    Parameters
    ----------
    seconds
        Time for the whole context.
    """

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._sockets: list[socket.socket] = []
        self.is_over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for each in self._sockets:
            each.close()

    def cancel(self) -> None:
        """Let the request take any time from now on."""
        self._timer.cancel()

    @property
    def extensions(self) -> dict[str, Any]:
        """Extensions of the request, by which its connections become known."""
        return {"trace": self._trace}

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            found = info["return_value"].get_extra_info("socket")
            if found is not None:
                self._sockets.append(found.dup())  # TLS takes the first one away before it has shaken hands
                if self.is_over:
                    self._end()

    def _end(self) -> None:
        self.is_over = True
        for each in self._sockets:
            with suppress(OSError):  # it has ended
                each.shutdown(socket.SHUT_RDWR)


class _TryAgainError(Exception):
    """A failure that another try may avoid."""

    def __init__(self, message: str, *, asked_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.asked_seconds = asked_seconds


class _RangeRefusedError(_TryAgainError):
    """The server does not continue where the file ends."""


def fetch_text(url: str, *, retry: RetryPolicy) -> bytes:
    """Fetch a description, as bytes; retries are logged.

    Raises
    ------
    DownloadError
        If there is no such page, or all tries failed.
    """

    def attempt() -> bytes:
        with _opened(url, {}, retry) as response:
            text = b""
            for block in _blocks(response, url, retry):
                text += block
                if len(text) > _LONGEST_TEXT:
                    raise DownloadError(f"{url}: over {_LONGEST_TEXT:,} bytes; expected the description of a record")
        return text

    return _persist(attempt, url, lambda: 0, retry)


def fetch(remote: RemoteFile, file: Path, *, retry: RetryPolicy, progress: CountProgress | None = None) -> None:
    """Fetch a file, continuing what an earlier call left in ``<file>.partial``; retries are logged.

    The file gets its name once its size and checksum are right. A wrong checksum may be due to what an earlier call
    left, so everything is fetched anew, once.

    Parameters
    ----------
    remote
        Address, size and checksum.
    file
        Path of the result, in a folder that exists.
    retry
        Number of tries and waits; tries are counted from the last that brought new bytes.
    progress
        Called with the number of bytes there and the total.

    Raises
    ------
    DownloadError
        If the file does not exist, has another size or checksum, or all tries failed.
    OutputError
        If it cannot be written.
    """
    partial = file.with_name(file.name + PARTIAL_SUFFIX)
    for is_last_time in (False, True):
        _persist(lambda: _continue(remote, partial, retry, progress), remote.url, lambda: _size(partial), retry)
        found = md5_of(partial)
        if found == remote.md5:
            partial.replace(file)
            return
        partial.unlink()
        wrong = f"{remote.url}: its MD5 is {found}, expected {remote.md5}"
        if is_last_time:
            raise DownloadError(f"{wrong}; twice, so it is given up")
        _LOGGER.warning("%s; fetching all of it anew", wrong)


def web_client(**options: Any) -> httpx.Client:
    """HTTP client that trusts the certificates of this computer, as other programs do; `options` as `httpx.Client`."""
    return httpx.Client(verify=ssl.create_default_context(), **options)


def md5_of(file: Path) -> str:
    """MD5 of a file as hexadecimal digits: a check against accidents, not against forgery."""
    with open_regular(file) as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _persist(attempt: Callable[[], Result], url: str, reached: Callable[[], int], retry: RetryPolicy) -> Result:
    """Repeat an attempt until it succeeds, or fails `n_tries` times in a row without reaching further than before."""
    furthest = reached()

    def reset_after_progress(state: RetryCallState) -> None:
        nonlocal furthest
        if reached() > furthest:
            furthest, state.attempt_number = reached(), 1

    def say(state: RetryCallState) -> None:
        _LOGGER.warning("%s: %s; trying again in %.0f s", url, _failure(state), state.upcoming_sleep)

    def give_up(state: RetryCallState) -> Result:
        error, end = _failure(state), f"given up after {state.attempt_number} tries"
        if error.asked_seconds > retry.longest_asked_seconds:
            end = f"the server asks to come back in {error.asked_seconds / 60:.0f} minutes"
        raise DownloadError(f"{url}: {error}; {end}")

    retrying = Retrying(
        retry=retry_if_exception_type(_TryAgainError),
        after=reset_after_progress,
        stop=lambda state: (
            state.attempt_number >= retry.n_tries or _failure(state).asked_seconds > retry.longest_asked_seconds
        ),
        wait=lambda state: retry.wait_seconds(state.attempt_number, _failure(state).asked_seconds),
        sleep=retry.sleep,
        before_sleep=say,
        retry_error_callback=give_up,
    )
    return retrying(attempt)


def _failure(state: RetryCallState) -> _TryAgainError:
    error = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(error, _TryAgainError)  # nothing else is tried again
    return error


def _continue(remote: RemoteFile, partial: Path, retry: RetryPolicy, progress: CountProgress | None) -> None:
    """Fetch the missing part of a file, in one try."""
    start = _size(partial)
    if start > remote.size:
        partial.unlink()
        start = 0
    if start == remote.size > 0:
        return
    try:
        with _opened(remote.url, {"Range": f"bytes={start}-"} if start else {}, retry) as response:
            start = _checked_start(response, remote, start)
            end = _append(_blocks(response, remote.url, retry), partial, remote, start, progress)
    except _RangeRefusedError:
        partial.unlink(missing_ok=True)
        raise
    if end < remote.size:
        raise _TryAgainError(f"the connection was cut after {end:,} of {remote.size:,} bytes")


def _append(
    blocks: Iterator[bytes], partial: Path, remote: RemoteFile, end: int, progress: CountProgress | None
) -> int:
    """Write blocks from position `end` of a file on, and return its new end; 0 begins a new file."""
    with output_errors(partial), partial.open("ab" if end else "wb") as stream:
        for block in blocks:
            end += len(block)
            if end > remote.size:
                raise DownloadError(f"{remote.url}: more came than the {remote.size:,} bytes that it should have")
            stream.write(block)
            if progress is not None:
                progress(end, remote.size)
    return end


def _checked_start(response: httpx.Response, remote: RemoteFile, start: int) -> int:
    """Position of the first byte that comes: `start`, or 0 where the server sends all of the file again."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        announced = _announced_bytes(response)
        if announced is not None and announced != remote.size:
            came = f"{announced:,} bytes of {response.headers.get('Content-Type', 'unknown type').partition(';')[0]}"
            raise DownloadError(f"{remote.url}: the server sends {came}, expected {remote.size:,}; an error page?")
        return 0
    came = response.headers.get("Content-Range", "no Content-Range")
    expected = f"bytes {start}-{remote.size - 1}/{remote.size}"
    if came != expected:
        raise _RangeRefusedError(f"asked to continue with {expected}, the server sends {came}")
    return start


@contextmanager
def _opened(url: str, headers: dict[str, str], retry: RetryPolicy) -> Iterator[httpx.Response]:
    """Open the server's answer to a request, if it is a success."""
    # Zenodo asks its users to say who they are, and turns away those who do not when it is busy
    headers |= {"User-Agent": f"soundness/{importlib.metadata.version('soundness')}", "Accept-Encoding": "identity"}
    try:
        client = web_client(headers=headers, timeout=retry.timeout_seconds, follow_redirects=True)
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        raise DownloadError(f"{url}: the proxy in the environment cannot be used: {error}") from None
    with client, Deadline(2.0 * retry.timeout_seconds) as deadline, closing(_answer(client, url, deadline)) as response:
        deadline.cancel()  # it has begun
        yield response


def _answer(client: httpx.Client, url: str, deadline: Deadline) -> httpx.Response:
    try:
        response = client.send(client.build_request("GET", url, extensions=deadline.extensions), stream=True)
    except httpx.UnsupportedProtocol as error:
        came = "" if str(error.request.url) == url else f", came a redirection to {error.request.url}"
        raise DownloadError(f"{url}: expected an address that begins with https:// or http://{came}") from None
    except httpx.RequestError as error:
        if isinstance(error, httpx.TooManyRedirects) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise DownloadError(f"{url}: {in_words(error)}") from None
        raise _TryAgainError("no answer in time" if deadline.is_over else in_words(error)) from None
    except (httpx.InvalidURL, ValueError) as error:  # no name of a host, such as a..b
        raise DownloadError(f"{url}: not a valid address: {error}") from None
    _check_status(response, url)
    return response


def _check_status(response: httpx.Response, url: str) -> None:
    if response.is_success:
        return
    response.close()
    message = f"HTTP {response.status_code} {response.reason_phrase}"
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise _RangeRefusedError(message)
    if response.status_code in _TRIED_AGAIN:
        raise _TryAgainError(message, asked_seconds=seconds_asked(response.headers.get("Retry-After", "")))
    raise DownloadError(f"{url}: {message}")


def _blocks(response: httpx.Response, url: str, retry: RetryPolicy) -> Iterator[bytes]:
    """Content as it comes, so that nothing is lost when the connection breaks."""
    since, n_bytes, span = time.monotonic(), 0, 2.0 * retry.timeout_seconds
    try:
        for block in response.iter_raw():
            yield block
            n_bytes += len(block)
            if (seconds := time.monotonic() - since) > span:
                if n_bytes < retry.slowest_bytes_per_second * seconds:
                    raise DownloadError(
                        f"{url}: the server sends {n_bytes / seconds:,.0f} bytes a second, which is given up; the same "
                        f"command goes on from here"
                    )
                since, n_bytes = time.monotonic(), 0
    except httpx.TransportError as error:
        if (announced := _announced_bytes(response)) is None or not isinstance(error, httpx.RemoteProtocolError):
            raise _TryAgainError(f"the connection broke: {in_words(error)}") from None
        missing = announced - response.num_bytes_downloaded
        raise _TryAgainError(f"the connection was cut, {missing:,} bytes are missing") from None


def _announced_bytes(response: httpx.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None


def seconds_asked(retry_after: str) -> float:
    """Wait that a server asks for, in seconds or until a date; 0 if it asks for none."""
    try:
        if re.fullmatch(r"\s*[0-9]{1,12}\s*", retry_after):
            return float(retry_after)
        moment = parsedate_to_datetime(retry_after)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):  # neither number nor date, or a date that no calendar has
        return 0.0


def in_words(error: Exception) -> str:
    """Text of a network error without its number and place in the source of Python."""
    return re.sub(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$", "", str(error)).lower() or type(error).__name__


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0

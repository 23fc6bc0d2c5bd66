"""Files over HTTP: tried again, continued where they broke off, and checked before they get their name."""

import hashlib
import http.client
import importlib.metadata
import random
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPResponse
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from soundness.aliases import Announce, CountProgress
from soundness.errors import DownloadError, OutputError

__all__ = ["RemoteFile", "RetryPolicy", "fetch", "fetch_text", "md5_of"]

_BLOCK_BYTES = 1 << 20
_LONGEST_TEXT = 16 << 20  # bytes; the description of a record has some ten thousand
_TRIED_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server, and what it must be.

    Parameters
    ----------
    url
        Its address, http or https.
    size
        In bytes.
    md5
        Its checksum, 32 hexadecimal digits.
    """

    url: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often something is tried, and how long is waited between.

    The wait doubles with every failure in a row, and is between half and all of that at random, so that those who were
    turned away together do not come back together. A server that says how long to wait is obeyed.

    Parameters
    ----------
    n_tries
        Tries in a row that bring nothing new, after which it is given up.
    first_seconds, longest_seconds
        Longest wait after the first failure, and after any.
    longest_asked_seconds
        If a server asks for a longer wait than this, it is given up.
    timeout_seconds
        Silence of the server that counts as a failure.
    sleep
        Waits for some seconds.
    jitter
        A random number of [0, 1).
    """

    n_tries: int = 6
    first_seconds: float = 2.0
    longest_seconds: float = 60.0
    longest_asked_seconds: float = 300.0
    timeout_seconds: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def wait_seconds(self, n_failures: int, asked_seconds: float) -> float:
        """How long to wait after some failures in a row, where the server asked for some seconds (or 0)."""
        longest = min(self.first_seconds * 2.0 ** (n_failures - 1), self.longest_seconds)
        return max(longest * (1.0 + self.jitter()) / 2.0, asked_seconds)


class _TryAgainError(Exception):
    """Something failed that may go well another time."""

    def __init__(self, message: str, *, asked_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.asked_seconds = asked_seconds


class _RangeRefusedError(_TryAgainError):
    """The server does not go on from where the file ends."""


def fetch_text(url: str, *, patience: RetryPolicy, announce: Announce) -> bytes:
    """What stands at an address, as bytes.

    Parameters
    ----------
    url
        An address, http or https.
    patience
        How often it is tried.
    announce
        Is told in one line what is tried again, and why.

    Raises
    ------
    DownloadError
        If there is no such thing, or it did not come in so many tries.
    """

    def attempt() -> bytes:
        with _opened(url, {}, patience) as response:
            blocks: list[bytes] = []
            for block in _blocks(response):
                blocks.append(block)
                if sum(map(len, blocks)) > _LONGEST_TEXT:
                    raise DownloadError(
                        f"{url}: more than {_LONGEST_TEXT:,} bytes; expected the description of a record"
                    )
        return b"".join(blocks)

    return _persist(attempt, url, reached=lambda: 0, patience=patience, announce=announce)


def fetch(
    remote: RemoteFile,
    file: Path,
    *,
    patience: RetryPolicy,
    announce: Announce,
    progress: CountProgress | None = None,
) -> None:
    """Fetch a file, going on with what an earlier call left in ``<file>.partial``.

    The file gets its name when it has its size and checksum. A checksum that is wrong may come of what an earlier call
    left: everything is fetched anew, once.

    Parameters
    ----------
    remote
        Where it is, and what it must be.
    file
        Where it goes; its folder must exist.
    patience
        How often it is tried; tries are counted from the last that brought something new.
    announce
        Is told in one line what is tried again, and why.
    progress
        Is told how many bytes are there, and of how many.

    Raises
    ------
    DownloadError
        If the file is not there, has another size or checksum, or did not come in so many tries.
    OutputError
        If it cannot be written.
    """
    partial = file.with_name(file.name + ".partial")
    for is_last_time in (False, True):
        _persist(
            lambda: _continue(remote, partial, patience, progress),
            remote.url,
            reached=lambda: _size(partial),
            patience=patience,
            announce=announce,
        )
        came = md5_of(partial)
        if came == remote.md5:
            partial.replace(file)
            return
        partial.unlink()
        if not is_last_time:
            announce(f"{remote.url}: its MD5 is {came}, expected {remote.md5}; fetching all of it anew")
    raise DownloadError(f"{remote.url}: its MD5 is {came}, expected {remote.md5}; twice, so it is given up")


def md5_of(file: Path) -> str:
    """The MD5 of a file, which tells accidents from the original, and no more."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _persist(
    attempt: Callable[[], Result], url: str, *, reached: Callable[[], int], patience: RetryPolicy, announce: Announce
) -> Result:
    """Try until it goes well, or `patience` ends: with that many tries in a row that reach no further than before."""
    n_failures, furthest = 0, reached()
    while True:
        try:
            return attempt()
        except _TryAgainError as error:
            n_failures = 1 if reached() > furthest else n_failures + 1
            furthest = max(furthest, reached())
            if n_failures >= patience.n_tries:
                raise DownloadError(f"{url}: {error}; given up after {n_failures} tries") from None
            if error.asked_seconds > patience.longest_asked_seconds:
                raise DownloadError(
                    f"{url}: {error}; the server asks to come back in {error.asked_seconds / 60:.0f} minutes"
                ) from None
            seconds = patience.wait_seconds(n_failures, error.asked_seconds)
            announce(f"{url}: {error}; trying again in {seconds:.0f} s")
            patience.sleep(seconds)


def _continue(remote: RemoteFile, partial: Path, patience: RetryPolicy, progress: CountProgress | None) -> None:
    """Fetch what is missing of a file, in one try."""
    start = _size(partial)
    if start > remote.size:
        partial.unlink()
        start = 0
    if start == remote.size > 0:
        return
    try:
        with _opened(remote.url, {"Range": f"bytes={start}-"} if start else {}, patience) as response:
            start = _checked_start(response, remote, start)
            end = _append(_blocks(response), partial, remote, start, progress)
    except _RangeRefusedError:
        partial.unlink(missing_ok=True)
        raise
    if end < remote.size:
        raise _TryAgainError(f"the connection was cut after {end:,} of {remote.size:,} bytes")


def _append(
    blocks: Iterator[bytes], partial: Path, remote: RemoteFile, end: int, progress: CountProgress | None
) -> int:
    """Write blocks to a file of so many bytes, or to a new one where it is 0; where the file ends then."""
    try:
        with partial.open("ab" if end else "wb") as stream:
            for block in blocks:
                end += len(block)
                if end > remote.size:
                    raise DownloadError(f"{remote.url}: more came than the {remote.size:,} bytes that it should have")
                stream.write(block)
                if progress is not None:
                    progress(end, remote.size)
    except OSError as error:
        raise OutputError(f"{partial}: cannot be written: {error.strerror}") from None
    return end


def _checked_start(response: HTTPResponse, remote: RemoteFile, start: int) -> int:
    """Where what comes belongs: at `start`, or at 0 where the server sends all of the file again."""
    if response.status != http.client.PARTIAL_CONTENT:
        announced = response.length
        if announced is not None and announced != remote.size:
            came = f"{announced:,} bytes of {response.headers.get_content_type()}"
            raise DownloadError(f"{remote.url}: the server sends {came}, expected {remote.size:,}; an error page?")
        return 0
    given = response.headers.get("Content-Range", "nothing of the kind")
    expected = f"bytes {start}-{remote.size - 1}/{remote.size}"
    if given != expected:
        raise _RangeRefusedError(f"asked to go on with {expected}, the server sends {given}")
    return start


@contextmanager
def _opened(url: str, headers: dict[str, str], patience: RetryPolicy) -> Iterator[HTTPResponse]:
    """The server's answer to a request, if it is one of success."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url}: expected an address that begins with https:// or http://")
    # Zenodo asks its users to say who they are, and turns away those who do not when it is busy
    agent = f"soundness/{importlib.metadata.version('soundness')}"
    request = urllib.request.Request(url, headers={"User-Agent": agent, **headers})
    try:
        response = urllib.request.build_opener().open(request, timeout=patience.timeout_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        message = f"HTTP {error.code} {error.reason}"
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _RangeRefusedError(message) from None
        if error.code in _TRIED_AGAIN:
            asked = _asked_seconds(error.headers.get("Retry-After"))
            raise _TryAgainError(message, asked_seconds=asked) from None
        raise DownloadError(f"{url}: {message}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(f"{url}: {reason.verify_message}") from None
        raise _TryAgainError(_in_words(reason)) from None
    except ValueError as error:  # no name of a host, such as a..b
        raise DownloadError(f"{url}: no address that can be asked: {error}") from None
    with response:
        yield response


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    """What comes, as it comes, so that nothing that came is lost when the connection breaks."""
    missing = response.length
    while missing is None or missing > 0:
        try:
            block = response.read1(_BLOCK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _TryAgainError(f"the connection broke: {_in_words(error)}") from None
        if not block and missing is not None:
            raise _TryAgainError(f"the connection was cut, {missing:,} bytes are missing")
        if not block:
            return
        if missing is not None:
            missing -= len(block)
        yield block


def _asked_seconds(retry_after: str | None) -> float:
    """The wait that a server asks for, in seconds or until a date; 0 where it asks for none."""
    if retry_after is None:
        return 0.0
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _in_words(reason: object) -> str:
    """An error of the network without its number."""
    text = (reason.strerror if isinstance(reason, OSError) else None) or str(reason) or type(reason).__name__
    return text.strip().lower()


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0

"""Alarms to another server: one JSON object each, by POST."""

import json
import logging
import time
from collections.abc import Mapping

import httpx

from soundness.data.download_http import web_client
from soundness.errors import OutputError, SettingsError
from soundness.monitoring.event_log import EventLog, LogRow

__all__ = ["AlarmSender", "check_url", "post"]

_LOGGER = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 5.0
_JSON = {"Content-Type": "application/json"}


def check_url(url: str) -> None:
    """Refuse anything but an address of the web.

    Raises
    ------
    SettingsError
        If it is none.
    """
    try:
        address = httpx.URL(url)
        is_usable = bool(address.host) and (address.port or 0) < 2**16 and address.raw_host.decode().encode("idna")
    except (httpx.InvalidURL, ValueError) as error:
        raise SettingsError(f"{url}: not a valid address: {error}") from None
    if address.scheme not in ("http", "https") or not is_usable:
        raise SettingsError(f"{url}: expected an address that begins with https:// or http://")


def post(url: str, content: Mapping[str, object], *, timeout_seconds: float) -> None:
    """Send a JSON object; a redirection counts as not sent, for it would arrive without its content.

    Raises
    ------
    OutputError
        If the server could not be reached, or answered with anything but success.
    """
    body = json.dumps(content).encode()  # ASCII: a file name that is no text goes, too
    try:
        with web_client(headers=_JSON, timeout=timeout_seconds) as http, http.stream("POST", url, content=body) as got:
            if not got.is_success:
                raise OutputError(f"{url}: not sent: HTTP {got.status_code} {got.reason_phrase}")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError, ImportError) as error:
        raise OutputError(f"{url}: not sent: {str(error) or type(error).__name__}") from error


class AlarmSender:
    """Sends the alarms of a log in their order; after a failure it waits, twice as long each time, without blocking.

    Parameters
    ----------
    url
        Address of the webhook.
    log
        Log that holds the alarms, and whether they have been sent.
    first_seconds, longest_seconds
        Time to wait after the first failure, and at most.
    n_tries
        Number of tries of `insist`.
    """

    def __init__(
        self, url: str, log: EventLog, *, first_seconds: float = 1.0, longest_seconds: float = 300.0, n_tries: int = 3
    ) -> None:
        self.url = url
        self.log = log
        self.first_seconds, self.longest_seconds, self.n_tries = first_seconds, longest_seconds, n_tries
        self.n_failures = 0
        self._not_before = 0.0  # monotonic seconds

    def deliver(self) -> None:
        """Send the alarms that have not been sent, unless it is too early to try again."""
        if time.monotonic() < self._not_before:
            return
        for row in self.log.unsent():
            try:
                post(self.url, _content(row), timeout_seconds=_TIMEOUT_SECONDS)
            except OutputError as error:
                self.n_failures += 1
                if self.n_failures == 1:
                    _LOGGER.warning("%s; alarms are kept, and sent later", error)
                wait_seconds = min(self.first_seconds * 2.0 ** (self.n_failures - 1), self.longest_seconds)
                self._not_before = time.monotonic() + wait_seconds
                return
            self.n_failures = 0
            self.log.mark_sent(row)

    def insist(self) -> None:
        """Send the alarms that have not been sent, waiting between as many tries as `n_tries`."""
        self.deliver()
        while 0 < self.n_failures < self.n_tries and self.log.unsent():
            time.sleep(max(0.0, self._not_before - time.monotonic()))
            self.deliver()


def _content(row: LogRow) -> dict[str, object]:
    """Content of an alarm; ``id`` is the same if it is sent twice."""
    shown = ("time", "machine", "file", "score", "p_value")
    return {"id": f"{row.file}:{row.size}:{row.mtime_ns}", **{name: getattr(row, name) for name in shown}}

"""Alarms to another server: one JSON object each, by POST."""

import json
import logging
import time
from collections.abc import Mapping

import httpx

from soundness.data.download_http import Deadline, in_words, seconds_asked, web_client
from soundness.errors import NotSentError, OutputError, SettingsError
from soundness.monitoring.event_log import EventLog, LogRow

__all__ = ["AlarmSender", "check_url", "post", "post_bytes", "shown_url"]

_LOGGER = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 5.0
_JSON = {"Content-Type": "application/json"}


def check_url(url: str) -> None:
    """Refuse anything but an address of the web; the message does not show it, for it may hold a secret.

    Raises
    ------
    SettingsError
        If it is none.
    """
    expected = "webhook: not a valid address; expected one that begins with https:// or http:// and a host"
    try:
        address = httpx.URL(url)
        is_usable = bool(address.host) and (address.port or 0) < 2**16 and address.raw_host.decode().encode("idna")
    except (httpx.InvalidURL, ValueError):
        raise SettingsError(expected) from None
    if address.scheme not in ("http", "https") or not is_usable or any(map(str.isspace, url)):
        raise SettingsError(expected)


def shown_url(url: str) -> str:
    """Scheme, host and port of an address: what follows, and the user before, may be secret."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        return "webhook"
    port = "" if address.port is None else f":{address.port}"
    return f"{address.scheme}://{address.raw_host.decode('ascii', 'replace')}{port}"


def post(url: str, content: Mapping[str, object], *, timeout_seconds: float) -> None:
    """Send a JSON object, as `post_bytes` does."""
    post_bytes(url, json.dumps(content).encode(), headers=_JSON, timeout_seconds=timeout_seconds)  # ASCII alone


def post_bytes(url: str, body: bytes, *, headers: Mapping[str, str], timeout_seconds: float) -> None:
    """Send a body; a redirection is not followed and counts as not sent: the content is for this server alone.

    Raises
    ------
    NotSentError
        If the server could not be reached, did not answer in time, or answered with anything but success; the message
        shows no more of the address than `shown_url`.
    """
    try:
        client = web_client(headers=dict(headers), timeout=timeout_seconds)
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        raise NotSentError(f"{shown_url(url)}: not sent: the proxy in the environment: {error}") from None
    try:
        with (
            client as http,
            Deadline(3.0 * timeout_seconds) as deadline,
            http.stream("POST", url, content=body, extensions=deadline.extensions) as got,
        ):
            if not got.is_success:
                asked_seconds = seconds_asked(got.headers.get("Retry-After", ""))
                raise NotSentError(f"{shown_url(url)}: not sent: {_answer(got)}", asked_seconds=asked_seconds)
    except (httpx.InvalidURL, ValueError):
        raise NotSentError(f"{shown_url(url)}: not sent: not a valid address") from None
    except (httpx.HTTPError, OSError) as error:
        reason = "no answer in time" if deadline.is_over else in_words(error)
        raise NotSentError(f"{shown_url(url)}: not sent: {reason}") from None


def _answer(got: httpx.Response) -> str:
    words = f"HTTP {got.status_code} {got.reason_phrase}"
    if not got.has_redirect_location:
        return words
    try:
        place = shown_url(str(got.url.join(got.headers["Location"])))
    except (httpx.InvalidURL, ValueError):
        place = "no valid address"
    return f"{words}: a redirection to {place}, which is not followed; the address of the webhook has to be changed"


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

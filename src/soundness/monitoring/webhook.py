"""Events to another server, by POST; and addresses of the web, which may be secret."""

from collections.abc import Mapping

import httpx

from soundness.data.download_http import Deadline, in_words, seconds_asked, web_client
from soundness.errors import NotSentError, SettingsError

__all__ = ["check_url", "post_bytes", "shown_url"]


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

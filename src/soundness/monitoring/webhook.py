"""Alarms to somebody else's server: one JSON object by POST."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from soundness.errors import OutputError, SettingsError

__all__ = ["check_url", "post"]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its content: it counts as not sent."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def check_url(url: str) -> None:
    """Refuse what is no address of the web.

    Raises
    ------
    SettingsError
        If it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{url}: expected an address that begins with https:// or http://")


def post(url: str, content: Mapping[str, object], *, timeout_seconds: float) -> None:
    """Send a JSON object; any answer of success will do.

    Raises
    ------
    OutputError
        If it did not arrive, as far as is known.
    """
    body = json.dumps(content).encode("utf-8")
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout_seconds) as response:
            response.read(1024)
    except urllib.error.HTTPError as error:
        error.close()
        raise OutputError(f"{url}: not sent: HTTP {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise OutputError(f"{url}: not sent: {str(reason) or type(reason).__name__}") from None

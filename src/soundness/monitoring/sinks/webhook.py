"""Webhook: each event as JSON by POST, signed, with a key by which a repetition is known."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable

from soundness.monitoring.sinks.messages import event_values
from soundness.monitoring.store.records import Delivery
from soundness.monitoring.webhook import check_url, post_bytes

__all__ = ["WebhookSink", "signature"]

_TIMEOUT_SECONDS = 5.0


def signature(body: bytes, *, key: str, timestamp: str) -> str:
    """Signature of a message, as its header holds it.

    ``sha256=`` and the HMAC-SHA256, in hexadecimal digits, of the timestamp's text, a dot and the body, with the UTF-8
    bytes of the key. A receiver computes the same of the header ``X-Soundness-Timestamp`` and the body as it came,
    compares the two in constant time, and refuses what is older than a few minutes: it may be a copy of an old message.

    Parameters
    ----------
    body
        Body of the message.
    key
        Key that sender and receiver share.
    timestamp
        Time at which it is sent, whole seconds since 1970, in decimal digits.
    """
    digest = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


class WebhookSink:
    """Posts events to an address.

    Parameters
    ----------
    name
        Name of the sink.
    url
        Address, which may be secret.
    signing_key
        Key of the signature; ``None`` for none.
    public_url
        Address under which the pages are reached; empty if they are not.

    Raises
    ------
    SettingsError
        If the address is none.
    """

    def __init__(self, name: str, url: str, *, signing_key: str | None = None, public_url: str = "") -> None:
        check_url(url)
        self.name, self.url, self.signing_key, self.public_url = name, url, signing_key, public_url

    def start(self, retry: Callable[[], None]) -> None:
        """Nothing: each event has its own connection."""

    def close(self) -> None:
        """Nothing, likewise."""

    def values(self, delivery: Delivery) -> dict[str, object]:
        """Values that are posted; see `soundness.monitoring.sinks.messages.event_values`."""
        return event_values(delivery, public_url=self.public_url)

    def send(self, delivery: Delivery) -> None:
        """Post an event.

        Raises
        ------
        NotSentError
            If the server did not take it.
        """
        body = json.dumps(self.values(delivery), allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": delivery.key}
        if self.signing_key is not None:
            now = f"{int(time.time())}"
            headers["X-Soundness-Timestamp"] = now
            headers["X-Soundness-Signature"] = signature(body, key=self.signing_key, timestamp=now)
        post_bytes(self.url, body, headers=headers, timeout_seconds=_TIMEOUT_SECONDS)

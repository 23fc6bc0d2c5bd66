"""Address of a broker of MQTT, a connection to it, and its errors in words."""

import asyncio
import logging
import re
import ssl
from dataclasses import dataclass, replace
from pathlib import Path

import aiomqtt

from soundness.errors import NotSentError, SettingsError

__all__ = ["Broker", "broker_problem", "check_broker_url", "connect", "try_broker"]

_LOG = logging.getLogger(__name__)
_URL = re.compile(r"(mqtts?)://(\[[0-9A-Fa-f:.]+\]|[^/@\s:?#\[\]]+)(?::([0-9]{1,5}))?/?")
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_TIMEOUT_SECONDS, _KEEP_ALIVE_SECONDS = 8.0, 30
_REFUSED = {134, 135, 4, 5}  # reasons of a broker that does not know the user or the password


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Broker and the identity shown to it.

    Parameters
    ----------
    url
        ``mqtt://host:port``, or ``mqtts://`` for TLS.
    user, password
        Name, empty for none, and its password; ``None`` for none.
    client_id
        Identity of the client.
    ca_file
        Certificates that are trusted beside those of the computer; ``None`` for no others.
    """

    url: str
    user: str = ""
    password: str | None = None
    client_id: str = "soundness"
    ca_file: Path | None = None

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        _, host, port = _parsed(self.url)
        return host, port

    def context(self) -> ssl.SSLContext | None:
        """Certificates that are trusted; ``None`` without TLS.

        Raises
        ------
        SettingsError
            If the file of certificates cannot be used.
        """
        if not self.url.startswith("mqtts:"):
            return None
        context = ssl.create_default_context()
        if self.ca_file is not None:
            try:
                context.load_verify_locations(self.ca_file)
            except OSError as error:
                raise SettingsError(f"mqtt.ca_file: {self.ca_file}: {error.strerror or error}") from None
        return context


def _parsed(url: str) -> tuple[str, str, int]:
    match = _URL.fullmatch(url)
    if match is None:
        raise SettingsError("expected mqtt://host:1883, or mqtts://host:8883, without user and password")
    scheme, host, port = match.groups()
    number = _PORTS[scheme] if port is None else int(port)
    if not 0 < number < 2**16:
        raise SettingsError(f"port {number}: expected 1 to 65535")
    return scheme, host.strip("[]"), number


def check_broker_url(url: str) -> None:
    """Make sure that an address is one of a broker.

    Raises
    ------
    SettingsError
        If not; the message does not show it, for it may hold a secret.
    """
    _parsed(url)


def connect(broker: Broker, context: ssl.SSLContext | None, *, will: aiomqtt.Will | None = None) -> aiomqtt.Client:
    """Connection to a broker, to be entered as a context, which raises `aiomqtt.MqttError` where it cannot be had."""
    host, port = broker.place
    client = aiomqtt.Client(
        host,
        port,
        username=broker.user or None,
        password=broker.password,
        identifier=broker.client_id,
        will=will,
        tls_context=context,
        timeout=_TIMEOUT_SECONDS,
        keepalive=_KEEP_ALIVE_SECONDS,
        logger=_LOG,
    )
    client.pending_calls_threshold = 100  # before it warns: many messages are on their way at once
    return client


def broker_problem(broker: Broker, error: Exception) -> str:
    """Reason why there is no connection, in words."""
    code = getattr(error, "rc", None)
    number = getattr(code, "value", code)
    if isinstance(error, aiomqtt.MqttCodeError) and number in _REFUSED:
        who = f"user {broker.user!r}" if broker.user else "a client without a user's name"
        return f"{broker.url}: the broker refuses {who}: wrong name or password"
    if str(error).startswith("Disconnected during"):
        return f"{broker.url}: the connection broke"
    words = re.sub(r"^\[[^]]*\] *| \(_ssl\.c:\d+\)$", "", str(error)).strip().rstrip(".")
    return f"{broker.url}: {words[:1].lower() + words[1:] or 'no connection'}"


def try_broker(broker: Broker) -> None:
    """Connect to a broker and leave it, with another identity, so that a running monitor keeps its connection.

    Raises
    ------
    SoundnessError
        If it cannot be reached, or refuses the user.
    """
    context, trying = broker.context(), replace(broker, client_id=f"{broker.client_id}-check")

    async def attempt() -> None:
        try:
            async with connect(trying, context):
                pass
        except (aiomqtt.MqttError, UnicodeError) as error:
            raise NotSentError(broker_problem(broker, error)) from None

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(attempt())

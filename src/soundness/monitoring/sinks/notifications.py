"""Notifications to people, by mail, chat or telephone, through apprise: two sentences, a link and a picture."""

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apprise

from soundness.errors import NotSentError, SettingsError, SoundnessError
from soundness.monitoring.sinks.hidden_secrets import hide, secret_parts
from soundness.monitoring.sinks.messages import notice_of
from soundness.monitoring.sinks.protocol import DrawAlarm
from soundness.monitoring.store.records import Delivery
from soundness.plain_text import one_line

__all__ = ["NotifySink"]

_LOG = logging.getLogger(__name__)
_APPRISE = logging.getLogger("apprise")


class NotifySink:
    """Notifications of events to people.

    Parameters
    ----------
    name
        Name of the sink.
    url
        Address of apprise, which is secret.
    public_url
        Address under which the pages are reached; empty if they are not.
    draw
        Gives the picture of an alarm.

    Raises
    ------
    SettingsError
        If apprise does not know the address, or it is more than one; the message does not show it.
    """

    def __init__(self, name: str, url: str, *, public_url: str = "", draw: DrawAlarm = lambda _: None) -> None:
        self.name, self.public_url, self.draw = name, public_url, draw
        self._parts = secret_parts([url])
        asset = apprise.AppriseAsset(app_id="soundness", app_desc="soundness", async_mode=False)
        if hasattr(asset, "http_redirects"):  # of later versions
            asset.http_redirects = False
        self._service = apprise.Apprise(asset=asset)
        with _Warnings():  # which nobody needs to see
            is_known = self._service.add(url)
        if not is_known or len(self._service) != 1:
            raise SettingsError(
                f"notify {name}: url: not one address of apprise, such as mailto://user:password@example.org; "
                f"each [[notify]] has one"
            )
        self._shown = f"{url.partition('://')[0]}://"

    def start(self, retry: Callable[[], None]) -> None:
        """Nothing: each event has its own connection."""

    def close(self) -> None:
        """Nothing, likewise."""

    def send(self, delivery: Delivery) -> None:
        """Notify people of an event.

        Raises
        ------
        NotSentError
            If the service did not take it.
        """
        notice = notice_of(delivery, public_url=self.public_url)
        kind = apprise.NotifyType.SUCCESS if delivery.content.get("event") == "ended" else apprise.NotifyType.WARNING
        picture = self._picture(delivery)
        with self._attached(delivery, picture) as attached, _Warnings() as warnings:
            outcome = self._service.notify(
                notice.text,
                title=notice.title,
                notify_type=kind,
                body_format=apprise.NotifyFormat.TEXT,
                attach=attached,
            )
        if not outcome:
            logs = outcome.logs() if hasattr(outcome, "logs") else ()  # of later versions, which send in another thread
            lines = [*warnings.lines, *(one.message for one in logs if one.level in ("WARNING", "ERROR"))]
            reason = hide(one_line(" ".join(lines)), self._parts).rstrip(". ") or "the service did not take it"
            raise NotSentError(f"{self._shown}: not sent: {reason}")

    @contextmanager
    def _attached(self, delivery: Delivery, picture: bytes | None) -> Iterator[str | None]:
        """File of a picture, which is there for a while; ``None`` without one, or where none can be written."""
        with ExitStack() as stack:
            path = None
            if picture is not None:
                try:
                    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="soundness"))
                    path = Path(folder) / "alarm.png"
                    path.write_bytes(picture)
                except OSError as error:  # as on a full disk: the alarm must arrive
                    _LOG.warning("%s: the notification of %s has no picture: %s", self.name, delivery.key, error)
                    path = None
            yield None if path is None else str(path)

    def _picture(self, delivery: Delivery) -> bytes | None:
        try:
            return self.draw(delivery)
        except SoundnessError as error:
            _LOG.warning("%s: the notification of %s has no picture: %s", self.name, delivery.key, error)
        except Exception as error:  # noqa: BLE001  # the alarm must arrive, whatever is wrong with its picture
            _LOG.warning("%s: the notification of %s has no picture: %s", self.name, delivery.key, error, exc_info=True)
        return None


class _Warnings(logging.Handler):
    """Context that takes the warnings that apprise logs in this thread: they are its only reasons."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def __enter__(self) -> "_Warnings":
        _APPRISE.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _APPRISE.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        if record.thread == self._thread:
            self.lines.append(record.getMessage())

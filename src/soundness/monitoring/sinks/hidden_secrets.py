"""Secrets are hidden: in texts, and in all that is logged, by whatever library."""

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from soundness.errors import SettingsError
from soundness.monitoring.configuration.monitor_settings import MonitorSettings

__all__ = ["configured_secrets", "hide", "secret_parts", "secrets_hidden"]

_LEAST = 4  # characters; a shorter part says nothing, and stands in many a word
_HIDDEN = "***"


def secret_parts(secrets: Iterable[str]) -> list[str]:
    """Texts that are hidden for some secrets, the longest first: each, and what stands in one that is an address.

    Host and port of an address of the web stay: they say where something failed.
    """
    found = set()
    for secret in secrets:
        found.add(secret)
        scheme, mark, rest = secret.partition("://")
        if mark:
            if scheme in ("http", "https"):
                place, slash, path = rest.partition("/")
                rest = place.rpartition("@")[0] + slash + path
            parts = re.split(r"[/:@?&=#,;]+", rest)
            found |= {rest, *parts, *map(unquote, parts)}
    return sorted((part for part in found if len(part) >= _LEAST), key=len, reverse=True)


def configured_secrets(settings: MonitorSettings, folder: Path) -> list[str]:
    """Secrets of a configuration, and what stands before a host in its addresses.

    Those that cannot be read are left out: who needs one of them says so.

    Parameters
    ----------
    settings
        The configuration.
    folder
        Folder of the configuration.
    """
    found = []
    for secret in settings.secrets:
        with suppress(SettingsError):
            found.append(secret.read(folder, name=""))
    for address in (settings.store.url, *(sensor.source for sensor in settings.sensor)):
        found += [user.partition(":")[2] for user in re.findall(r"//([^/]*)@", address)]
    return [secret for secret in found if secret and secret != "{secret}"]


def hide(text: str, parts: Iterable[str]) -> str:
    """Text with stars in the place of what is secret.

    Parameters
    ----------
    text
        The text.
    parts
        See `secret_parts`.
    """
    for part in parts:
        text = text.replace(part, _HIDDEN)
    return text


@contextmanager
def secrets_hidden(secrets: Iterable[str]) -> Iterator[None]:
    """Context in which no secret appears in what is logged: libraries log addresses, and requests with their paths."""
    parts, before = secret_parts(secrets), logging.getLogRecordFactory()

    def record(*args: object, **kwargs: object) -> logging.LogRecord:
        made = before(*args, **kwargs)
        try:
            words = made.getMessage()
        except (TypeError, ValueError, KeyError):  # logging tells of it when it is written
            return made
        shown = hide(words, parts)
        if shown != words:
            made.msg, made.args = shown, ()
        if made.exc_info is not None and made.exc_info[1] is not None:
            text = logging.Formatter().formatException(made.exc_info)
            if (hidden := hide(text, parts)) != text:
                made.exc_info, made.exc_text = None, hidden
        return made

    logging.setLogRecordFactory(record)
    try:
        yield
    finally:
        logging.setLogRecordFactory(before)

"""Texts in a configuration, checked when it is read: times, rates, names, addresses, windows; and secrets."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from soundness.errors import SettingsError
from soundness.monitoring.configuration.maintenance import parse_window
from soundness.monitoring.sinks.broker import check_broker_url
from soundness.monitoring.sources.addresses import check_address
from soundness.monitoring.webhook import check_url
from soundness.regular_files import read_regular_text
from soundness.settings.durations import parse_rate, parse_seconds
from soundness.settings.fields import StrictSettings

__all__ = [
    "AddressText",
    "BrokerText",
    "ClientText",
    "Duration",
    "NameText",
    "RateText",
    "SecretText",
    "TopicText",
    "WebText",
    "WindowText",
]

_NAME = re.compile(r"[^\x00-\x1f\x7f/\\#+$]{1,80}")  # no separator of paths or MQTT topics, no wildcard of these


def _checked_by(check: Callable[[str], object]) -> AfterValidator:
    """Check of a text by a function that raises a `SettingsError`."""

    def checked(text: str) -> str:
        try:
            check(text)
        except SettingsError as error:
            raise ValueError(str(error)) from None
        return text

    return AfterValidator(checked)


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None or text != text.strip() or text in (".", ".."):
        raise ValueError("expected 1 to 80 characters without / \\ # + $, and no blanks around them")
    return text


def _topic(text: str) -> str:
    if re.search(r"[#+$\s\x00]", text) or text.startswith("/") or text.endswith("/"):
        raise ValueError("expected levels of a topic, such as hall/2, without # + $ and blanks")
    return text


def _client(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) is None:
        raise ValueError("expected 1 to 64 of the characters A-Z a-z 0-9 _ -")
    return text


def _web(text: str) -> None:
    if text:
        try:
            check_url(text)
        except SettingsError as error:
            raise SettingsError(str(error).removeprefix("webhook: ")) from None


Duration = Annotated[str, _checked_by(parse_seconds)]
"""Time such as ``10s`` or ``24h``."""

RateText = Annotated[str, _checked_by(parse_rate)]
"""Rate such as ``1/week``."""

NameText = Annotated[str, AfterValidator(_name)]
"""Name of a sensor or a sink."""

AddressText = Annotated[str, _checked_by(check_address)]
"""Address of a source."""

BrokerText = Annotated[str, _checked_by(check_broker_url)]
"""Address of a broker."""

WindowText = Annotated[str, _checked_by(parse_window)]
"""Window of time such as ``Mon-Fri 12:00-12:30``."""

TopicText = Annotated[str, AfterValidator(_topic)]
"""Levels of a topic of MQTT."""

ClientText = Annotated[str, AfterValidator(_client)]
"""Identity of a client of MQTT."""

WebText = Annotated[str, _checked_by(_web)]
"""Address of the web; empty for none."""

_Place = Annotated[str, Field(min_length=1)]


class SecretText(StrictSettings):
    """Text that stands in an environment variable or a file, never in the configuration itself.

    Parameters
    ----------
    env
        Name of the environment variable.
    file
        File with the text in its first line; a relative path is one beside the configuration.
    """

    hides_values: ClassVar[str] = 'expected { env = "NAME" } or { file = "PATH" }'

    env: _Place | None = None
    file: _Place | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected env or file, and not both")
        return self

    def read(self, folder: Path, *, name: str) -> str:
        """The text.

        Raises
        ------
        SettingsError
            If the variable is not set, or the file cannot be read or is empty; the message never shows the text.
        """
        if self.env is not None:
            text = os.environ.get(self.env, "")
            where = f"environment variable {self.env}"
        else:
            where = str(folder / (self.file or ""))
            try:
                text = read_regular_text(Path(where))
            except ValueError:
                raise SettingsError(f"{name}: {where}: cannot be read: not a text file") from None
            except OSError as error:
                raise SettingsError(f"{name}: {where}: cannot be read: {error.strerror or error}") from None
        first = text.partition("\n")[0].strip()
        if not first:
            is_set = self.env is None or self.env in os.environ
            raise SettingsError(f"{name}: {where} is {'empty' if is_set else 'not set'}; expected a secret there")
        return first

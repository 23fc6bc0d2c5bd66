"""Configuration of a monitor: a TOML file, its settings and their checks."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from soundness.errors import SettingsError
from soundness.monitoring.learning.plan import LearningPlan
from soundness.monitoring.live.checked_texts import AddressText, BrokerText, Duration, NameText, RateText, WindowText
from soundness.monitoring.live.maintenance import MaintenanceWindow, parse_window
from soundness.regular_files import read_regular_text
from soundness.settings.durations import parse_seconds
from soundness.settings.fields import StrictSettings
from soundness.settings.loading import validated

__all__ = [
    "MonitorSettings",
    "MqttSettings",
    "NotifySettings",
    "SecretText",
    "SensorSettings",
    "ServiceSettings",
    "StoreSettings",
    "WebhookSettings",
    "load_configuration",
]


class SecretText(StrictSettings):
    """Text that stands in an environment variable or a file, never in the configuration itself.

    Parameters
    ----------
    env
        Name of the environment variable.
    file
        File with the text in its first line; a relative path is one beside the configuration.
    """

    env: str | None = None
    file: str | None = None

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
            except (OSError, ValueError) as error:
                raise SettingsError(f"{name}: {where}: cannot be read: {error}") from None
        first = text.partition("\n")[0].strip()
        if not first:
            raise SettingsError(f"{name}: {where} is empty or not set; expected a secret there")
        return first


class StoreSettings(StrictSettings):
    """Settings of the database and the kept audio.

    Parameters
    ----------
    folder
        Folder of database, audio and detectors; a relative one is beside the configuration.
    url
        Database: empty for SQLite in `folder`, else an address of PostgreSQL without its password.
    password
        Secret that holds the password of the database; ``None`` without one.
    keep_audio
        Clips whose audio is kept: those of alarms with the time before them, all, or none.
    before_alarm
        Time before an alarm whose audio is kept with it.
    keep_clips, keep_alarms
        Age at which rows and audio of clips are deleted, and those of alarms.
    max_gigabytes
        Largest size of the kept audio; the oldest is deleted first.
    min_free_gigabytes
        Free space on the disk below which no audio is written; rows are.
    """

    folder: str = "monitor-data"
    url: str = ""
    password: SecretText | None = None
    keep_audio: Literal["alarms", "all", "none"] = "alarms"
    before_alarm: Duration = "2min"
    keep_clips: Duration = "90d"
    keep_alarms: Duration = "5y"
    max_gigabytes: Annotated[float, Field(gt=0)] = 20.0
    min_free_gigabytes: Annotated[float, Field(ge=0)] = 1.0


class ServiceSettings(StrictSettings):
    """Settings of the HTTP service.

    Parameters
    ----------
    host, port
        Address that it listens on; port 0 takes a free one. Beyond loopback it needs `token` or `password`.
    token
        Secret that programs send as ``Authorization: Bearer``.
    password
        Secret that holds the argon2 hash of the password of the pages; ``soundness monitor password`` makes one.
    public_url
        Address under which people reach the pages, for the links in notifications.
    """

    is_on: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8734
    token: SecretText | None = None
    password: SecretText | None = None
    public_url: str = ""


class MqttSettings(StrictSettings):
    """Settings of the MQTT broker.

    Parameters
    ----------
    url
        ``mqtt://host:1883``, or ``mqtts://host:8883`` for TLS.
    user, password
        Name, and the secret that holds the password.
    prefix
        First part of all topics.
    home_assistant
        Prefix of Home Assistant's discovery; empty for none.
    client_id
        Identity of the client; other for each monitor at one broker, as is the prefix.
    ca_file
        File of certificates (PEM) that are trusted beside those of the computer, for a broker with its own.
    """

    url: BrokerText
    user: str = ""
    password: SecretText | None = None
    prefix: Annotated[str, Field(pattern=r"^[^#+\s]+$")] = "soundness"
    home_assistant: Annotated[str, Field(pattern=r"^[^#+\s]*$")] = "homeassistant"
    client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "soundness"
    ca_file: str | None = None


class WebhookSettings(StrictSettings):
    """Settings of a webhook that alarms are posted to.

    Parameters
    ----------
    name
        Name, by which it is shown and its deliveries are kept.
    url
        Address without anything secret in it; or `url_secret`.
    url_secret
        Secret that holds the address.
    signing_key
        Secret that holds the key of the HMAC-SHA256 signature; ``None`` for no signature.
    """

    name: NameText = "webhook"
    url: str = ""
    url_secret: SecretText | None = None
    signing_key: SecretText | None = None


class NotifySettings(StrictSettings):
    """Settings of notifications to people.

    Parameters
    ----------
    name
        Name, by which it is shown and its deliveries are kept.
    url
        Secret that holds an address of apprise, such as ``mailto://...`` or ``tgram://...``.
    """

    name: NameText
    url: SecretText


class SensorSettings(StrictSettings):
    """Settings of one sensor: a source of sound at a machine.

    Parameters
    ----------
    name
        Name, one of each.
    source
        Address, such as ``mic:0``, ``rtsp://camera/stream``, ``folder:/data/pump``, ``pcm:-`` or
        ``replay:pump.flac?speed=60``.
    source_secret
        Secret that stands for ``{secret}`` in the address, such as ``user:password``.
    detector
        Detector's file; ``None`` to learn one.
    channel
        Channel that is used, from 0.
    sample_rate
        Rate that streams are resampled to, in Hz; ``None`` to take them as they come.
    clip_seconds, hop_seconds
        Length of a clip, and the time from the start of one to that of the next.
    learn
        Time for which normal sound is recorded to learn from.
    set_aside
        Largest share of the learned clips that may be set aside as not normal.
    false_alarms
        Acceptable rate of false alarms.
    longest_window
        Longest window of the alarm rule, in clips.
    quiet_clips
        Clips without an alarm after which it has ended.
    minimum_gap
        Time after the end of an alarm within which a new one continues it.
    maintenance
        Windows of time without alarms, such as ``Mon-Fri 12:00-12:30`` or ``daily 02:00-03:00``, in UTC.
    follows_drift
        Follow slow changes of the normal sound, so that the rate of false alarms is kept.
    fault_after
        Time of digital silence, constant or clipped signal, or none at all, after which the sensor is at fault.
    """

    name: NameText
    source: AddressText
    source_secret: SecretText | None = None
    detector: str | None = None
    channel: Annotated[int, Field(ge=0, le=255)] = 0
    sample_rate: Annotated[int, Field(ge=1_000, le=384_000)] | None = None
    clip_seconds: Annotated[float, Field(ge=0.5, le=600.0)] = 10.0
    hop_seconds: Annotated[float, Field(ge=0.1)] | None = None
    learn: Duration = "24h"
    set_aside: Annotated[float, Field(ge=0.0, le=0.5)] = 0.05
    false_alarms: RateText = "1/week"
    longest_window: Annotated[int, Field(ge=1, le=100)] = 10
    quiet_clips: Annotated[int, Field(ge=1)] = 3
    minimum_gap: Duration = "10min"
    maintenance: tuple[WindowText, ...] = ()
    follows_drift: bool = True
    fault_after: Duration = "1min"

    @property
    def hop(self) -> float:
        """Time from the start of one clip to that of the next, in seconds."""
        return self.clip_seconds if self.hop_seconds is None else self.hop_seconds

    @property
    def windows(self) -> list[MaintenanceWindow]:
        """Windows of maintenance."""
        return [parse_window(text) for text in self.maintenance]

    @model_validator(mode="after")
    def _can_learn(self) -> Self:
        if self.detector is None:
            try:
                LearningPlan(seconds=parse_seconds(self.learn), hop_seconds=self.hop)
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return self

    @model_validator(mode="after")
    def _hops(self) -> Self:
        if self.hop > self.clip_seconds:
            raise ValueError(
                f"hop_seconds {self.hop:g} is longer than clip_seconds {self.clip_seconds:g}: sound between clips "
                f"would not be heard; expected at most {self.clip_seconds:g}"
            )
        return self


class MonitorSettings(StrictSettings):
    """The whole configuration.

    Parameters
    ----------
    store, service
        Database and kept audio; HTTP service.
    mqtt
        Broker; ``None`` without one.
    webhook, notify
        Webhooks, and notifications to people.
    sensor
        Sensors.
    """

    store: StoreSettings = StoreSettings()
    service: ServiceSettings = ServiceSettings()
    mqtt: MqttSettings | None = None
    webhook: tuple[WebhookSettings, ...] = ()
    notify: tuple[NotifySettings, ...] = ()
    sensor: Annotated[tuple[SensorSettings, ...], Field(min_length=1)]

    @property
    def sink_names(self) -> list[str]:
        """Names of all sinks; that of the broker is ``mqtt``."""
        broker = [] if self.mqtt is None else ["mqtt"]
        return [*broker, *self._other_sinks]

    @property
    def _other_sinks(self) -> list[str]:
        return [*(one.name for one in self.webhook), *(one.name for one in self.notify)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for kind, names in (
            ("sensors", [one.name for one in self.sensor]),
            ("webhooks and notifications", self._other_sinks),
        ):
            seen = {name.casefold(): name for name in names}
            if len(seen) < len(names):
                twice = next(name for name in names if sum(name.casefold() == one.casefold() for one in names) > 1)
                raise ValueError(f"two {kind} are named {twice!r}; expected different names")
        if "mqtt" in self._other_sinks:
            raise ValueError("a webhook or notification is named 'mqtt', which is the broker's name")
        return self


def load_configuration(path: Path) -> MonitorSettings:
    """Read a configuration.

    Raises
    ------
    SettingsError
        If the file cannot be read, a key is unknown, or a value is of the wrong type or out of range; the message
        names it.
    """
    try:
        tree = tomllib.loads(read_regular_text(path))
    except RecursionError:
        raise SettingsError(f"{path}: not a readable configuration: nested too deep") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: not a readable configuration: {error}") from None
    return validated(MonitorSettings, _as_tuples(tree), origin=str(path))


def _as_tuples(value: object) -> dict[str, object]:
    found = _deep(value)
    assert isinstance(found, dict)
    return found


def _deep(value: object) -> object:
    """Value with tuples in the place of lists, as strict settings expect, and floats of whole numbers as they are."""
    if isinstance(value, dict):
        return {key: _deep(one) for key, one in value.items()}
    return tuple(map(_deep, value)) if isinstance(value, list) else value

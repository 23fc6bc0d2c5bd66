"""Configuration of a monitor: a TOML file, its settings and their checks."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from soundness.errors import SettingsError
from soundness.monitoring.alarm_rules import AlarmRequest, overlap_correlations
from soundness.monitoring.configuration.checked_texts import (
    AddressText,
    Duration,
    NameText,
    RateText,
    SecretText,
    WebText,
    WindowText,
)
from soundness.monitoring.configuration.learning_plan import LearningPlan
from soundness.monitoring.configuration.maintenance import MaintenanceWindow, parse_window
from soundness.monitoring.configuration.sink_settings import MqttSettings, NotifySettings, WebhookSettings
from soundness.regular_files import read_regular_text
from soundness.settings.durations import parse_seconds
from soundness.settings.fields import StrictSettings
from soundness.settings.loading import setting_problems

__all__ = [
    "MonitorSettings",
    "SensorSettings",
    "ServiceSettings",
    "StoreSettings",
    "configuration_problems",
    "load_configuration",
    "read_configuration",
]


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
    public_url: WebText = ""


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
    def alarm_request(self) -> AlarmRequest:
        """Rate of false alarms that is asked for, with the correlation of clips that share sound."""
        return AlarmRequest(
            false_alarms=self.false_alarms,
            clip_every=f"{self.hop:g}s",
            longest=self.longest_window,
            correlations=overlap_correlations(
                clip_seconds=self.clip_seconds, hop_seconds=self.hop, longest=self.longest_window
            ),
        )

    @property
    def has_rate(self) -> bool:
        """True if the configuration names a rate of false alarms; else a detector's own is as good."""
        return "false_alarms" in self.model_fields_set

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
    def secrets(self) -> list[SecretText]:
        """All that is secret."""
        return _secrets(self)

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


def _secrets(value: object) -> list[SecretText]:
    if isinstance(value, SecretText):
        return [value]
    below = vars(value).values() if isinstance(value, StrictSettings) else value if isinstance(value, tuple) else ()
    return [found for one in below for found in _secrets(one)]


def load_configuration(path: Path) -> MonitorSettings:
    """Read a configuration.

    Raises
    ------
    SettingsError
        If the file cannot be read, a key is unknown, or a value is of the wrong type or out of range; the message
        names the first.
    """
    tree = read_configuration(path)
    for problem in configuration_problems(tree):
        raise SettingsError(f"{path}: {problem}")
    return MonitorSettings.model_validate(tree)


def read_configuration(path: Path) -> dict[str, Any]:
    """Values of a configuration's file, unchecked.

    Raises
    ------
    SettingsError
        If it cannot be read, or is no TOML.
    """
    try:
        tree = tomllib.loads(read_regular_text(path))
    except RecursionError:
        raise SettingsError(f"{path}: not a readable configuration: nested too deep") from None
    except FileNotFoundError:
        wanted = "expected a configuration, as soundness monitor --init writes it"
        raise SettingsError(f"{path}: no such file; {wanted}") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: not a readable configuration: {error}") from None
    return {key: _deep(value) for key, value in tree.items()}


def configuration_problems(tree: Mapping[str, Any]) -> list[str]:
    """Problems of a configuration's values, a line each, without secrets; empty if there are none."""

    def shown_key(location: tuple[int | str, ...]) -> str:
        table, *rest = location
        if table not in ("sensor", "webhook", "notify") or not rest or not isinstance(rest[0], int):
            return ".".join(map(str, location))
        entry = tree[str(table)][rest[0]]
        name = entry.get("name") if isinstance(entry, Mapping) else None
        which = f"{table} {name!r}" if isinstance(name, str) else f"{table} {rest[0] + 1}"
        return ": ".join([which, *([".".join(map(str, rest[1:]))] if rest[1:] else [])])

    single = [name for name in ("sensor", "webhook", "notify") if isinstance(tree.get(name), Mapping)]
    if single:
        return [f"[{name}]: expected [[{name}]], in two brackets, since there may be several" for name in single]
    return setting_problems(MonitorSettings, tree, shown_key=shown_key)


def _deep(value: object) -> object:
    """Value with tuples in the place of lists, as strict settings expect, and floats of whole numbers as they are."""
    if isinstance(value, dict):
        return {key: _deep(one) for key, one in value.items()}
    return tuple(map(_deep, value)) if isinstance(value, list) else value

"""`monitor --check`: a configuration and all that it names, before it is used; every problem is told."""

import errno
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import PathLike
from soundness.errors import InUseError, SettingsError, SoundnessError
from soundness.extras import check_extra

if TYPE_CHECKING:  # loaded when it is needed
    from soundness.monitoring.configuration.monitor_settings import MonitorSettings, SensorSettings

__all__ = ["MonitorCheck", "check_monitor"]


@dataclass(slots=True, kw_only=True)
class MonitorCheck:
    """Findings of a check.

    Parameters
    ----------
    notes
        Things that are well, and what is worth knowing of them, a line each.
    problems
        Things that are not, a line each.
    is_running
        True if a monitor runs with this store, so that its port is taken, too.
    """

    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_running: bool = False

    @contextmanager
    def part(self, name: str = "") -> Iterator[None]:
        """Context whose error is a problem of what has this name."""
        try:
            yield
        except SoundnessError as error:
            self.problems.append(f"{name}: {error}" if name else str(error))


def check_monitor(configuration: PathLike) -> MonitorCheck:
    """Check a configuration: its values, secrets, store, disk, sensors, broker, webhooks and notifications.

    Nothing is sent to webhooks and people. Where the values are wrong, only they are told.

    Parameters
    ----------
    configuration
        TOML file, see ``docs/monitor.md``.
    """
    check_extra("monitor")
    from soundness.monitoring.configuration.monitor_settings import (
        MonitorSettings,
        configuration_problems,
        read_configuration,
    )
    from soundness.monitoring.sinks.hidden_secrets import configured_secrets, secrets_hidden

    path, found = Path(configuration), MonitorCheck()
    tree: dict[str, object] = {}
    with found.part():
        tree = read_configuration(path)
        found.problems += [f"{path}: {problem}" for problem in configuration_problems(tree)]
    if found.problems:
        return found
    settings, folder = MonitorSettings.model_validate(tree), path.absolute().parent
    with secrets_hidden(configured_secrets(settings, folder)):
        _check_secrets(settings, folder, found)
        _check_store(settings, folder, found)
        _check_service(settings, folder, found)
        for sensor in settings.sensor:
            for check in (_check_source, _check_detector):
                with found.part(f"sensor {sensor.name}"):
                    check(sensor, folder, found)
        _check_sinks(settings, folder, found)
    return found


def _check_secrets(settings: "MonitorSettings", folder: Path, found: MonitorCheck) -> None:
    """Note which files of secrets everybody can read; those that cannot be read are told where they are needed."""
    if os.name != "posix":
        return
    for name in sorted({secret.file for secret in settings.secrets if secret.file is not None}):
        file = folder / name
        if file.is_file() and file.stat().st_mode & stat.S_IROTH:
            found.notes.append(f"{file}: every user of this computer can read this secret; chmod 600 makes it yours")


def _check_store(settings: "MonitorSettings", folder: Path, found: MonitorCheck) -> None:
    """Open the store as a monitor does, and lock it; one that is not there is not made."""
    from soundness.monitoring.store.database import only_monitor
    from soundness.monitoring.store.store import DATABASE_FILE, Store

    own, password = settings.store, None
    place = folder / own.folder
    there = next(parent for parent in (place, *place.parents) if parent.exists())
    with found.part("store.folder"):
        if not there.is_dir():
            raise SettingsError(f"{there}: is a file; expected a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise SettingsError(f"{there}: cannot be written by this user")
        free = shutil.disk_usage(there).free / 1e9
        words = f"{free:.1f} GB are free, and {own.min_free_gigabytes:g} GB are to stay so"
        if free < own.min_free_gigabytes:
            raise SettingsError(f"{there}: {words}: no audio would be kept")
        found.notes.append(f"store {place}: {words}")
    with found.part(), ExitStack() as stack:
        if own.password is not None:
            password = own.password.read(folder, name="store.password")
        if not own.url and not (place / DATABASE_FILE).exists():
            return
        store = Store.open(place, url=own.url, password=password)
        stack.callback(store.close)
        try:
            stack.enter_context(only_monitor(store.engine))
        except InUseError as error:
            found.is_running = True
            found.notes.append(f"{error}, which reads its configuration only when it starts")


def _check_service(settings: "MonitorSettings", folder: Path, found: MonitorCheck) -> None:
    from soundness.service.http import read_secrets

    own = settings.service
    if not own.is_on:
        return
    with found.part():
        read_secrets(own, folder)
    if found.is_running:
        return
    with found.part("service"):
        _check_free(own.host, own.port)


def _check_free(host: str, port: int) -> None:
    """Make sure that one can listen at a port."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as trying:
            if os.name != "nt":  # there it would allow two to listen
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind(address)
    except OSError as error:
        reason = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise SettingsError(f"{host}, port {port}: {reason}") from None


def _check_source(sensor: "SensorSettings", folder: Path, found: MonitorCheck) -> None:
    from soundness.monitoring.sources.addresses import find_source
    from soundness.monitoring.sources.protocol import SourceSettings, without_secret

    secret = "" if sensor.source_secret is None else sensor.source_secret.read(folder, name="source_secret")
    settings = SourceSettings(
        name=sensor.name,
        folder=folder,
        channel=sensor.channel,
        sample_rate=sensor.sample_rate,
        clip_seconds=sensor.clip_seconds,
    )
    note = find_source(sensor.source.replace("{secret}", secret), settings).check()
    found.notes.append(f"sensor {sensor.name}: {note or without_secret(sensor.source)}")


def _check_detector(sensor: "SensorSettings", folder: Path, found: MonitorCheck) -> None:
    from soundness.monitoring.detector_in_use import load_detector_in_use

    if sensor.detector is None:
        found.notes.append(f"sensor {sensor.name}: learns for {sensor.learn}, unless it has learned")
        return
    using = load_detector_in_use(folder / sensor.detector, sensor)
    found.notes.append(f"sensor {sensor.name}: {using.promise}")
    lengths = using.detector.judge.lengths
    if lengths is not None and abs(lengths.clip_seconds - sensor.clip_seconds) > 0.01 * sensor.clip_seconds:
        found.notes.append(
            f"sensor {sensor.name}: clips of {sensor.clip_seconds:g} s, and the detector learned from clips of "
            f"{lengths.clip_seconds:g} s: clip_seconds = {lengths.clip_seconds:g} takes less time and fits it better"
        )


def _check_sinks(settings: "MonitorSettings", folder: Path, found: MonitorCheck) -> None:
    from soundness.monitoring.sinks.broker import try_broker
    from soundness.monitoring.sinks.configured import configured_broker, configured_notification, configured_webhook
    from soundness.monitoring.sinks.topics import check_topics
    from soundness.monitoring.webhook import shown_url

    if settings.mqtt is not None:
        with found.part("mqtt"):
            check_topics([one.name for one in settings.sensor])
        with found.part():
            try_broker(configured_broker(settings.mqtt, folder))
            is_open = settings.mqtt.password is not None and settings.mqtt.url.startswith("mqtt:")
            note = "; the password goes to it as plain text, which mqtts:// would not do" if is_open else ""
            found.notes.append(f"mqtt: {settings.mqtt.url} answers{note}")
    for webhook in settings.webhook:
        with found.part():
            sink = configured_webhook(webhook, folder, public_url=settings.service.public_url)
            found.notes.append(f"webhook {webhook.name}: {shown_url(sink.url)}, to which nothing was sent")
    for notify in settings.notify:
        with found.part():
            configured_notification(notify, folder, public_url=settings.service.public_url)
            found.notes.append(f"notify {notify.name}: an address of apprise, to which nothing was sent")

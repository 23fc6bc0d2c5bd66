"""`monitor learn`: a sensor learns from recordings that are there, or anew from the sound that comes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import PathLike
from soundness.audio.reading import pick_channel, read_blocks, read_info
from soundness.data.finding import find_recordings
from soundness.errors import DataError, OutputError, SettingsError
from soundness.extras import check_extra
from soundness.monitoring.configuration.learning_plan import FEWEST_CLIPS, LearningPlan
from soundness.monitoring.configuration.monitor_settings import MonitorSettings, SensorSettings, load_configuration
from soundness.monitoring.detector_in_use import fingerprint_of
from soundness.monitoring.learning.commissioning import learning_job
from soundness.monitoring.learning.recordings import LearningFolder
from soundness.monitoring.learning.stages import STAGES, run_stage
from soundness.monitoring.sources.protocol import without_secret
from soundness.monitoring.store.database import only_monitor
from soundness.monitoring.store.store import Store
from soundness.monitoring.store.times import utc_us
from soundness.monitoring.upkeep.detector_versions import next_file

__all__ = ["learn_anew", "learn_sensor", "store_of"]

_WHOLE = 1.5  # clips: a longer recording is cut


@contextmanager
def store_of(settings: MonitorSettings, folder: Path) -> Iterator[Store]:
    """Context with the store of a configuration.

    Parameters
    ----------
    settings
        The configuration.
    folder
        Folder that relative paths of it are below.
    """
    own = settings.store
    password = None if own.password is None else own.password.read(folder, name="store.password")
    store = Store.open(folder / own.folder, url=own.url, password=password)
    try:
        yield store
    finally:
        store.close()


def learn_sensor(
    configuration: PathLike, sensor: str, recordings: PathLike, *, say: Callable[[str], None] = lambda _: None
) -> Path:
    """Learn the normal sound of a sensor from recordings; the file of its detector.

    A monitor of the same configuration must not be running; it uses the detector from its next start on.

    Parameters
    ----------
    configuration
        Configuration of the monitor.
    sensor
        Name of the sensor, which has no ``detector`` in the configuration.
    recordings
        Folder of normal recordings, which are in the order of time by their names.
    say
        Called with what it does.

    Raises
    ------
    SoundnessError
        If there is no such sensor, it has a detector, or the recordings cannot be learned from.
    """
    settings, own = _learning_sensor(Path(configuration), sensor)
    pieces = list(_pieces(Path(recordings), own))
    if len(pieces) < FEWEST_CLIPS:
        raise DataError(
            f"{recordings}: {len(pieces)} clips of {own.clip_seconds:g} s; expected at least {FEWEST_CLIPS} to learn"
        )
    with store_of(settings, Path(configuration).absolute().parent) as store, only_monitor(store.engine):
        return _learned(store, own, pieces, say)


def learn_anew(configuration: PathLike, sensor: str) -> str:
    """Have a sensor learn anew from the monitor's next start on; the length of its learning period, as it is set.

    A monitor of the same configuration must not be running. Scores and alarms of before are kept.

    Parameters
    ----------
    configuration
        Configuration of the monitor.
    sensor
        Name of the sensor, which has no ``detector`` in the configuration.

    Raises
    ------
    SoundnessError
        If there is no such sensor, or it has a detector.
    """
    settings, own = _learning_sensor(Path(configuration), sensor)
    with store_of(settings, Path(configuration).absolute().parent) as store, only_monitor(store.engine):
        found, reason, now_us = store.sensor(sensor), "to be learned anew", utc_us()
        if found is None:
            return own.learn
        LearningFolder(store.folder / "learning" / f"{found.id}").clear()
        with store.transaction() as transaction:
            transaction.add_detector(found.id, file="", fingerprint="", installed_us=now_us, reason=reason, details={})
            transaction.set_details(found.id, learning=None, following=None, bank_renewed_us=None)
            transaction.note_change(f"detector: {reason}", now_us=now_us, sensor_id=found.id)
    return own.learn


def _learning_sensor(path: Path, sensor: str) -> tuple[MonitorSettings, SensorSettings]:
    """Configuration, and settings of a sensor of it that has no detector there."""
    check_extra("monitor")
    settings = load_configuration(path)
    own = next((one for one in settings.sensor if one.name == sensor), None)
    if own is None:
        names = ", ".join(one.name for one in settings.sensor)
        raise SettingsError(f"{path}: no sensor {sensor!r}; there are {names}")
    if own.detector is not None:
        raise SettingsError(f"{path}: sensor {sensor} has a detector, {own.detector}; without one it learns")
    return settings, own


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A clip of a recording, the whole of it if there is no start."""

    path: Path
    start_seconds: float | None = None

    @property
    def words(self) -> str:
        """Recording and place."""
        return self.path.name if self.start_seconds is None else f"{self.path.name} at {self.start_seconds:g} s"


def _pieces(folder: Path, settings: SensorSettings) -> Iterator[_Piece]:
    found = find_recordings(folder).recordings
    if not found:
        raise DataError(f"{folder}: no recordings in it to learn from")
    for path in found:
        info = read_info(path)
        if info.seconds < _WHOLE * settings.clip_seconds and info.n_channels == 1:
            yield _Piece(path=path)
            continue
        for index in range(max(1, int(info.seconds / settings.clip_seconds + 1e-6))):
            yield _Piece(path=path, start_seconds=index * settings.clip_seconds)


def _learned(store: Store, settings: SensorSettings, pieces: list[_Piece], say: Callable[[str], None]) -> Path:
    with store.transaction() as transaction:
        source = without_secret(settings.source)
        now_us = utc_us()
        sensor_id = transaction.add_sensor(settings.name, source=source, state="waiting", now_us=now_us)
    folder = LearningFolder(store.folder / "learning" / f"{sensor_id}")
    folder.clear()
    plan = LearningPlan(seconds=len(pieces) * settings.clip_seconds, hop_seconds=settings.clip_seconds)
    say(f"{settings.name}: {len(pieces):,} clips")
    _fill(folder, plan, pieces, settings)
    out, details = next_file(store, sensor_id), dict[str, Any]()
    for stage in STAGES:
        say(f"{settings.name}: {stage}")
        details |= run_stage(learning_job(settings, folder, stage=stage, out=out))
    for each in details["set_aside"]:
        each["recording"] = pieces[int(Path(each["clip"]).stem.rpartition("_")[2])].words
        say(f"{settings.name}: set aside: {each['recording']}: {each['finding']}")
    _install(store, sensor_id, out, {**details, "stage": "done"})
    folder.clear(is_all=False)
    say(f"{settings.name}: an alarm at {details['rule']}{'; ' if details['note'] else ''}{details['note']}")
    return out


def _fill(folder: LearningFolder, plan: LearningPlan, pieces: list[_Piece], settings: SensorSettings) -> None:
    """Put the clips that there is a use for into the folder; long recordings are read once, block by block."""
    hop_us, cut = round(1e6 * settings.clip_seconds), folder.work / "clip.flac"
    blocks: Iterator[Any] = iter(())
    for index, piece in enumerate(pieces):
        if piece.start_seconds is None:
            folder.keep(piece.path.absolute(), index=index, start_us=index * hop_us, plan=plan)
            continue
        rate = read_info(piece.path).sample_rate
        if piece.start_seconds == 0.0:
            blocks = read_blocks(piece.path, block_samples=round(settings.clip_seconds * rate))
        block = next(blocks)
        if plan.use_of(index) == "leave":
            continue
        try:
            cut.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(cut, pick_channel(block.T, channel=settings.channel)[0], rate, subtype="PCM_24")
        except (OSError, soundfile.SoundFileError) as error:
            raise OutputError(f"{cut}: {error}") from None
        folder.keep(cut, index=index, start_us=index * hop_us, plan=plan)
        cut.unlink(missing_ok=True)


def _install(store: Store, sensor_id: int, out: Path, details: dict[str, Any]) -> None:
    now_us = utc_us()
    reason = f"learned from {details['n_trained']} recorded clips; {len(details['set_aside'])} set aside"
    with store.transaction() as transaction:
        transaction.add_detector(
            sensor_id,
            file=str(out),
            fingerprint=fingerprint_of(out),
            installed_us=now_us,
            reason=reason,
            details=details,
        )
        transaction.set_details(sensor_id, learning=details)
        transaction.note_change(f"detector: {reason}", now_us=now_us, sensor_id=sensor_id)

"""Detector files that are replaced while a monitor runs: taken into use, or refused while the old one goes on."""

import logging
from collections.abc import Mapping
from pathlib import Path

from soundness.errors import DataError, SettingsError, SoundnessError
from soundness.monitoring.detector_in_use import DetectorInUse, fingerprint_of, load_detector_in_use
from soundness.monitoring.live.recorder import Recorder
from soundness.monitoring.recording_files import Stamp, stamp_of
from soundness.monitoring.store.times import utc_us

__all__ = ["DetectorFiles"]

_LOG = logging.getLogger(__name__)


class DetectorFiles:
    """Files of the detectors that the configuration names.

    Parameters
    ----------
    recorders
        Recorders of the sensors, by name.
    folder
        Folder that relative paths of the configuration are below.
    """

    def __init__(self, recorders: Mapping[str, Recorder], *, folder: Path) -> None:
        self.recorders, self.folder = recorders, folder
        self._known = {name: stamp_of(file) for name in recorders if (file := self._file(name)) is not None}
        self._changed: dict[str, Stamp | None] = {}
        self._fingerprints = {name: fingerprint_of(self._file(name) or folder) for name in self._known}

    def _file(self, name: str) -> Path | None:
        configured = self.recorders[name].sensor.settings.detector
        return None if configured is None else self.folder / configured

    def look(self) -> None:
        """Look at each file; one that has changed and was the same at two looks is read."""
        for name, known in self._known.items():
            file = self._file(name)
            assert file is not None
            stamp = stamp_of(file)
            if stamp == known:
                self._changed.pop(name, None)
            elif name not in self._changed or self._changed[name] != stamp:
                self._changed[name] = stamp
            else:
                self._replace(name, file)  # again at the next look, if the database is away
                del self._changed[name]
                self._known[name] = stamp

    def _replace(self, name: str, file: Path) -> None:
        recorder = self.recorders[name]
        settings, fingerprint = recorder.sensor.settings, fingerprint_of(file)
        if fingerprint and fingerprint == self._fingerprints[name]:
            return
        try:
            found = load_detector_in_use(file, settings)
            _try(found, recorder)
        except SoundnessError as error:
            _LOG.warning("%s: the detector goes on as it was; its new file is refused: %s", name, error)
            _note(recorder, "detector refused", file=str(file), reason=str(error))
            return
        with recorder.turn:
            recorder.install(found, reason="its file was replaced")
        self._fingerprints[name] = fingerprint
        _LOG.warning("%s: the detector was replaced by that of %s", name, file)
        _note(recorder, "detector replaced", file=str(file), fingerprint=fingerprint)


def _try(found: DetectorInUse, recorder: Recorder) -> None:
    """Make sure that a detector can score what the sensor gives: its latest clip.

    Raises
    ------
    SoundnessError
        If it cannot.
    """
    latest = recorder.sensor.files.left_quietly()[-1:]
    for clip in latest:
        needed = found.detector.audio.sample_rate
        if clip.sample_rate < needed:
            raise SettingsError(f"{found.file}: for sound at {needed:,} Hz; the sensor gives {clip.sample_rate:,} Hz")
        try:
            score = found.detector.score_recording(clip.path)
        except DataError as error:
            if clip.path.exists():
                raise SettingsError(f"{found.file}: cannot score the sensor's clips: {error.reason}") from error
            continue  # the clip was forgotten meanwhile
        if score.cannot_tell and score.cannot_tell != "digital silence":
            raise SettingsError(f"{found.file}: cannot judge the sensor's clips: {score.cannot_tell}")


def _note(recorder: Recorder, what: str, **details: str) -> None:
    with recorder.store.transaction() as transaction:
        now_us = utc_us()
        transaction.note_change(what, now_us=now_us, sensor_id=recorder.sensor.sensor_id, **details)

"""Machines of a folder that is watched: each has a sensor, that appears with its first recording."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from soundness.audio.decoding import AS_STATED
from soundness.data.folder_names import machine_folder, path_key
from soundness.detectors.protocol import AnyDetector
from soundness.monitoring.capture.sensor import LiveSensor
from soundness.monitoring.configuration.monitor_settings import SensorSettings
from soundness.monitoring.detector_in_use import DetectorInUse, fingerprint_of
from soundness.monitoring.live.engine import Engine
from soundness.monitoring.recording_files import stamp_of
from soundness.monitoring.sources.protocol import RecordingClip
from soundness.plain_text import one_line, shown_name
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.settings.system import AudioSettings

__all__ = ["Machines"]

_NO_DETECTOR = "no detector"  # name of the sensor of recordings that lie in no folder
_SETTINGS = SensorSettings(  # whose alarms begin and end by the rule of the detector alone
    name="machine",
    source="folder:.",
    quiet_clips=1,
    minimum_gap="1e-9s",
    follows_drift=False,
    fault_after="1000y",  # each recording that fails is said
)
_NEVER = AlarmRule(
    p_value=1e-300,
    n_anomalous=1,
    n_clips=1,
    clip_every_seconds=1.0,
    asked_per_day=0.0,
    expected_per_day=0.0,
    bound_per_day=0.0,
    dependent_per_day=0.0,
)
"""Rule of a detector that has none."""


class Machines:
    """Machines by the folders of their recordings.

    Parameters
    ----------
    folder
        Folder that is watched.
    detectors
        Detectors by machine type. One alone scores everything; of several, the one that a folder below ``folder`` is
        named after. Each folder is a machine of its own, but for folders that are named after times.
    place
        File or folder of the detectors.
    engine
        Engine of the watch.
    """

    def __init__(self, folder: Path, detectors: Mapping[str, AnyDetector], *, place: Path, engine: Engine) -> None:
        self.folder, self.detectors, self.engine = folder, detectors, engine
        self._in_use = _in_use(detectors, place)
        self._sensors: dict[str, LiveSensor] = {}

    def audio_of(self, path: Path) -> AudioSettings:
        """Settings with which a recording is read."""
        found = self._machine_type(path)
        return AS_STATED if found is None else self.detectors[found].audio

    def sensor_of(self, path: Path) -> LiveSensor:
        """Sensor of a recording."""
        found = self._machine_type(path)
        name = one_line(machine_folder(path.relative_to(self.folder)) or found or _NO_DETECTOR)
        if name not in self._sensors:
            # Any name of a folder is one of a machine here: no topic and no page is named after it.
            own = _SETTINGS.model_copy(update={"name": name, "source": f"folder:{one_line(str(self.folder))}"})
            self._sensors[name] = self.engine.add_sensor(own, None if found is None else self._in_use[found])
        return self._sensors[name]

    def checked(self, recording: RecordingClip) -> RecordingClip:
        """The recording, with a problem if there is no detector for it."""
        if self._machine_type(recording.path) is not None:
            return recording
        known = ", ".join(self.detectors)
        return replace(recording, known_as="", problem=f"no detector for it; there are detectors for {known}")

    def _machine_type(self, path: Path) -> str | None:
        if len(self.detectors) == 1:
            return next(iter(self.detectors))
        names = [shown_name(name) for name in path.relative_to(self.folder).parts[:-1]]
        return next((name for name in names if name in self.detectors), None)


def _in_use(detectors: Mapping[str, AnyDetector], place: Path) -> dict[str, DetectorInUse]:
    """Detectors with their own rules; what is known of them changes with any file of theirs."""
    files = [place] if place.is_file() else sorted(filter(Path.is_file, place.iterdir()), key=path_key)
    content = hashlib.sha256("".join(map(fingerprint_of, files)).encode()).hexdigest()
    stamp = stamp_of(place)
    return {
        name: DetectorInUse(
            detector=one,
            file=place.absolute(),
            stamp=stamp,
            fingerprint=content,
            rule=_NEVER if one.alarm_rule is None else one.alarm_rule,
            has_promise=False,
        )
        for name, one in detectors.items()
    }

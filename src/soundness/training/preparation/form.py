"""Form of a machine's training recordings, and notes on what makes a detector deaf."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from soundness.audio.defects import Defect, DefectKind, find_defects
from soundness.audio.measures import ClipMeasures, measure_clip
from soundness.data.clips import Clip
from soundness.detectors.form import RecordingForm
from soundness.representations.protocol import MachineSpectrograms
from soundness.settings.system import SystemSettings
from soundness.threads import map_recordings

__all__ = ["TrainingForm", "silence_text", "training_form"]

_HALF = 0.5
_UNCHANGED_DB = 1e-3  # range over time of a band that lies on the floor


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingForm:
    """Form of the recordings that a detector learned, and notes for the user, the gravest first."""

    form: RecordingForm
    notes: tuple[str, ...]


def training_form(clips: MachineSpectrograms, settings: SystemSettings) -> TrainingForm:
    """Measure the recordings of a machine's training clips.

    Raises
    ------
    AudioError
        If one cannot be read.
    """
    paths = list(dict.fromkeys(clip.path for clip in clips.clips))
    measures = list(map_recordings(partial(measure_clip, audio=settings.audio), paths))
    channel = settings.audio.channel
    form = RecordingForm.from_measures(measures, channel=channel)
    found: dict[DefectKind, list[tuple[str, Defect]]] = {}
    for path, each in zip(paths, measures, strict=True):
        for defect in find_defects(each, channel=channel):
            found.setdefault(defect.kind, []).append((path.name, defect))
    notes = [*_defect_notes(found, len(paths)), *_floor_notes(clips, settings), *form.training_notes()]
    return TrainingForm(form=form, notes=tuple(notes))


def silence_text(clip: Clip, settings: SystemSettings) -> str:
    """Reason in words why a clip holds no sound that could be learned."""
    measures: ClipMeasures = measure_clip(clip.path, audio=settings.audio)
    deaf = [one.text for one in find_defects(measures, channel=settings.audio.channel) if one.is_deaf]
    return deaf[0] if deaf else "all samples of this part are equal"


def _defect_notes(found: dict[DefectKind, list[tuple[str, Defect]]], n_recordings: int) -> Iterator[str]:
    for kind in sorted(found, key=lambda kind: kind != "quiet channel"):
        name, first = found[kind][0]
        yield f"{len(found[kind])} of {n_recordings} training recording(s), e.g. {name}: {first.text}"


def _floor_notes(clips: MachineSpectrograms, settings: SystemSettings) -> Iterator[str]:
    shares = [_share_on_floor(clip.reference) for clip in clips.spectrograms]
    if np.median(shares) < _HALF:
        return
    log_mel = settings.log_mel
    hint = "" if log_mel.floor_reference == "recording" else "; --set log_mel.floor_reference=recording lowers it"
    yield (
        f"{100 * float(np.median(shares)):.0f} % of the bands lie on the floor of the spectrogram "
        f"({log_mel.floor_db:g} dB) all the time: of these the detector learns nothing{hint}"
    )


def _share_on_floor(log_mel: NDArray[np.float32]) -> float:
    return float((np.ptp(log_mel, axis=1) <= _UNCHANGED_DB).mean()) if log_mel.shape[1] > 1 else 0.0

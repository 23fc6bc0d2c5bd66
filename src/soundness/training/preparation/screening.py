"""Screening of training clips: those that are not like the others are named, and set aside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array, PathLike, Progress
from soundness.data.datasets import open_dataset
from soundness.data.finding import Selection, listed_names
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.representations.protocol import Fitted, MachineSpectrograms
from soundness.scoring.decisions.calibration import Threshold
from soundness.scoring.scorers import find_scorer
from soundness.screening.findings import suspects_of
from soundness.screening.normal_clips import FLOOR_QUANTILE, name_of
from soundness.screening.records import ScreeningRecord, are_kept
from soundness.screening.suspects import FEWEST_CLIPS, find_suspects
from soundness.settings.loading import DEFAULT_SYSTEM, load_settings
from soundness.settings.system import SystemSettings
from soundness.training.calibration import left_out_calibration
from soundness.training.preparation.clips import check_training_clips, read_machine, reading_progress, training_vectors
from soundness.training.preparation.cutting import cut_machine
from soundness.training.preparation.dependence import independent_clips
from soundness.training.summary import domain_names

__all__ = ["ScreenedClips", "screen", "screen_clips", "with_cost"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScreenedClips:
    """Training clips of a machine after their screening.

    Parameters
    ----------
    clips
        Clips that the detector is made from.
    held_out
        Clips that calibrate it, where they are held out of the training; else none.
    otherwise
        The clips of the training if the suspects were treated otherwise: with those that are set aside, or without
        those that are kept; ``None`` without suspects.
    record
        Record of the screening.
    """

    clips: MachineSpectrograms
    held_out: MachineSpectrograms
    otherwise: MachineSpectrograms | None
    record: ScreeningRecord


def screen_clips(
    clips: MachineSpectrograms,
    settings: SystemSettings,
    *,
    held_out: Sequence[MachineSpectrograms] = (),
    keep: Sequence[Path] = (),
) -> ScreenedClips:
    """Screen the training clips of a machine, and set suspects aside where the settings say so.

    Parameters
    ----------
    clips
        Training clips, as they were read.
    settings
        Settings of the system.
    held_out
        Clips that are held out of the training, if there are any.
    keep
        Recordings that are normal, whatever is found.
    """
    together = _Together([clips, *held_out], settings)
    is_suspect = together.found.is_suspect
    is_kept = are_kept([clip.path for clip in together.clips], keep)
    is_set_aside = is_suspect & ~is_kept & (settings.screening != "keep")
    n_clips = len(clips.clips)
    chosen = ~is_set_aside[:n_clips]
    otherwise = ~is_suspect[:n_clips] if chosen.all() else np.ones(n_clips, np.bool_)
    rest = held_out[0] if held_out else _subset(clips, np.zeros(n_clips, np.bool_))
    return ScreenedClips(
        clips=_subset(clips, chosen),
        held_out=_subset(rest, ~is_set_aside[n_clips:]) if held_out else rest,
        otherwise=None if (otherwise == chosen).all() else _subset(clips, otherwise),
        record=together.record(is_set_aside),
    )


def with_cost(
    screened: ScreenedClips, clips: MachineSpectrograms, fitted: Fitted, *, scores: Array, settings: SystemSettings
) -> ScreeningRecord:
    """Record of a screening with the threshold that the detector would have if suspects were treated otherwise.

    Scores of two scorers have no unit in common: the other threshold is scaled so that median and spread of the scores
    of the clips that both are made from agree.

    Parameters
    ----------
    screened
        Result of `screen_clips`.
    clips
        Its clips with their pseudo-labels.
    fitted
        Representation that was fitted to them.
    scores
        Left-out scores of these clips.
    settings
        Settings of the system.
    """
    if screened.otherwise is None:
        return screened.record
    labelled = dict(zip(clips.clips, clips.conditions, strict=True))
    conditions = [
        labelled.get(clip, own)
        for clip, own in zip(screened.otherwise.clips, screened.otherwise.conditions, strict=True)
    ]
    if fitted.conditions:  # a clip that was set aside may have one of its own
        conditions = [own if own in fitted.conditions else fitted.conditions[0] for own in conditions]
    otherwise = replace(screened.otherwise, conditions=tuple(conditions))
    representations = dict(zip(clips.clips, fitted.representations(len(clips.clips)), strict=True))
    left_out = tuple(representations.get(clip, fitted.representation) for clip in otherwise.clips)
    vectors = training_vectors(otherwise, replace(fitted, left_out=left_out))
    other_scores = find_scorer(settings.scorer.name).fit(vectors, settings.scorer).left_out_scores()
    threshold = _threshold(clips, scores, settings)
    other = _threshold(otherwise, other_scores, settings)
    own = dict(zip(clips.clips, scores.tolist(), strict=True))
    beside = dict(zip(otherwise.clips, other_scores.tolist(), strict=True))
    common = [clip for clip in own if clip in beside]
    middle, spread = _middle([own[clip] for clip in common])
    other_middle, other_spread = _middle([beside[clip] for clip in common])
    other = middle + (other - other_middle) * spread / other_spread
    with_them, without = (other, threshold) if screened.record.set_aside else (threshold, other)
    return screened.record.model_copy(update={"threshold_with": with_them, "threshold_without": without})


class _Together:
    """Training clips and those that are held out, screened together.

    Parameters
    ----------
    parts
        The training clips, and those that are held out.
    settings
        Settings of the system.
    """

    def __init__(self, parts: Sequence[MachineSpectrograms], settings: SystemSettings) -> None:
        self.clips = [clip for part in parts for clip in part.clips]
        self._settings = settings
        self._log_mels = [own.reference for part in parts for own in part.spectrograms]
        self._means = np.stack([log_mel.mean(axis=1, dtype=np.float64) for log_mel in self._log_mels])
        floors = np.stack(
            [np.quantile(log_mel.astype(np.float64), FLOOR_QUANTILE, axis=1) for log_mel in self._log_mels]
        )
        self._names = sorted({clip.domain or "" for clip in self.clips})
        self._domains = np.array([self._names.index(clip.domain or "") for clip in self.clips])
        dependent = np.eye(len(self.clips), dtype=np.bool_)
        if parts[0].dependent is not None:
            dependent[: len(parts[0].clips), : len(parts[0].clips)] |= parts[0].dependent
        self.found = find_suspects([self._means, floors], self._domains, dependent=dependent)

    def record(self, is_set_aside: NDArray[np.bool_]) -> ScreeningRecord:
        """Record of the screening; ``is_set_aside`` has the shape ``(clip,)``."""
        names = [name_of(clip) for clip in self.clips]
        return ScreeningRecord(
            screening=self._settings.screening,
            suspects=suspects_of(
                self.found.is_suspect,
                self.found.p_values,
                is_set_aside,
                names=names,
                log_mels=self._log_mels,
                means=self._means,
                domains=self._domains,
                settings=self._settings,
            ),
            p_values={
                name: float(p_value) for name, p_value in zip(names, self.found.p_values, strict=True) if p_value < 1.0
            },
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        for group in self.found.groups:
            yield (
                f"{len(group)} clips are unlike the others and similar to each other, as in an operating state of its "
                f"own; kept: {listed_names(name_of(self.clips[index]) for index in group)}"
            )
        if self.found.lone:
            yield (
                f"unlike the other clips of its domain, which are so few beside another's that each may be a state of "
                f"its own; kept: {listed_names(name_of(self.clips[index]) for index in self.found.lone)}"
            )
        for domain, count in self.found.crowds.items():
            yield (
                f"{count} of {int((self._domains == domain).sum())} {self._names[domain] or 'normal'} clips are unlike "
                f"the others, too many to be set aside: these are two kinds of clips; train a detector on each, or on "
                f"both as they are"
            )
        few = [name for index, name in enumerate(self._names) if (self._domains == index).sum() < FEWEST_CLIPS]
        if few:
            yield (
                f"too few {' and '.join(name or 'normal' for name in few)} clips to find one that is not normal; "
                f"{FEWEST_CLIPS} are needed"
            )


def _threshold(clips: MachineSpectrograms, scores: Array, settings: SystemSettings) -> float:
    names = domain_names(clips)
    domains = np.array([names.index(clip.domain or "") for clip in clips.clips])
    calibration = left_out_calibration(clips, scores, domains, settings)
    return Threshold.from_scores(calibration.scores, false_alarm_rate=settings.false_alarm_rate).value


def _middle(scores: list[float]) -> tuple[float, float]:
    """Median of scores, and the range of their middle half."""
    low, middle, high = np.quantile(scores, (0.25, 0.5, 0.75))
    return float(middle), max(float(high - low), 1e-12)


def _subset(clips: MachineSpectrograms, chosen: NDArray[np.bool_]) -> MachineSpectrograms:
    return clips if chosen.all() else clips.subset(np.flatnonzero(chosen).tolist())


def screen(
    data: PathLike | Selection,
    *,
    system: PathLike | SystemSettings = DEFAULT_SYSTEM,
    machines: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, ScreeningRecord]:
    """Find training clips that are not like the others, without training.

    Parameters
    ----------
    data, system, machines, progress
        See `soundness.train`.

    Returns
    -------
    dict
        Record of each machine; `ScreeningRecord.lines` describes what was found.

    Raises
    ------
    SoundnessError
        If the data set, a training clip or a setting cannot be used.
    """
    settings = load_settings(system).model_copy(update={"separation": "off", "screening": "ask"})
    reader = RecordingReader(FrontEnd(settings))
    found = {}
    for machine in open_dataset(data).chosen(machines):
        cut = cut_machine(machine, clip_seconds=settings.audio.clip_seconds, audio=settings.audio).machine
        check_training_clips(cut, settings)
        read = read_machine(cut, reader, advance=reading_progress(cut, progress=progress))
        found[cut.machine_type] = screen_clips(independent_clips(read, settings), settings).record
    return found

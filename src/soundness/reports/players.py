"""Players of the most and the least normal clips, with sound and spectrogram."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.audio.log_mel import LogMel
from soundness.data.clips import known_keys
from soundness.data.datasets import find_clips, open_dataset
from soundness.detectors.detector import Detector
from soundness.detectors.reader import read_recording
from soundness.errors import AudioError, audio_errors_at
from soundness.evaluation.score_files import MachineScores
from soundness.evaluation.year_metrics import LabelledClips
from soundness.reports.pages import audio_uri, map_uri, player_gain, shrink

__all__ = ["NO_RECORDINGS", "Player", "Recordings", "add_sound", "extreme_clips", "find_recordings", "n_players"]

_SECONDS = 10.0  # of a recording that are played
_MOST_PLAYERS = 48  # of a page, about 60 kB each
_MOST_AT_AN_END = 3
_MOST_BANDS, _MOST_FRAMES = 64, 160  # of a spectrogram

Recordings = Mapping[tuple[str, str], Path]
"""Paths by machine type and file name; the machine type is empty where folders do not name it."""

NO_RECORDINGS: Recordings = {}


@dataclass(frozen=True, slots=True)
class Player:
    """A scored clip of a page.

    Parameters
    ----------
    file_name
        Name in the score file.
    anomaly_score
        Higher is more anomalous.
    decision
        1 if it was called anomalous, else 0; ``None`` where there are no decisions.
    truth
        Label and domain in words; empty where they are not known.
    sound, picture
        Data URIs of the recording and of its log-mel; ``None`` where it cannot be found or read.
    seconds
        Length of the recording; ``None`` likewise.
    is_cut
        True if only its beginning is played.
    """

    file_name: str
    anomaly_score: float
    decision: int | None
    truth: str
    sound: str | None = None
    picture: str | None = None
    seconds: float | None = None
    is_cut: bool = False


def n_players(n_machines: int) -> int:
    """Number of clips at each end that a page plays for each machine, so that the page stays small."""
    return max(1, min(_MOST_AT_AN_END, _MOST_PLAYERS // (2 * n_machines)))


def find_recordings(data: Path) -> Recordings:
    """Recordings of a folder that may have been scored: test clips, and training clips of other names.

    In a folder of one machine, any machine type matches.

    Raises
    ------
    DataError
        As for `soundness.data.datasets.find_clips`.
    """
    clips = find_clips([data]).clips
    listed = {(clip.machine_type, name): clip.path for clip in clips for name in (clip.path.name, clip.key)}
    machines = open_dataset(data).machines.values()
    trained = {(machine.machine_type, clip.path.name): clip.path for machine in machines for clip in machine.train}
    found = {**trained, **listed}
    return found if len(machines) > 1 else {("", name): path for (_, name), path in found.items()}


def extreme_clips(
    scores: MachineScores, labelled: LabelledClips | None, *, n_clips: int
) -> tuple[list[Player], list[Player]]:
    """Clips with the highest scores, the highest first, and with the lowest, the lowest first; none is in both."""
    order = np.argsort(scores.anomaly_scores, kind="stable")
    n_lowest = min(n_clips, len(order) // 2)
    n_highest = min(n_clips, len(order) - n_lowest)
    truths = _truths(labelled)
    keys = known_keys(scores.file_names, truths)
    players = [
        Player(
            file_name=scores.file_names[index],
            anomaly_score=float(scores.anomaly_scores[index]),
            decision=None if scores.decisions is None else int(scores.decisions[index]),
            truth=truths.get(keys[index], ""),
        )
        for index in order
    ]
    return players[::-1][:n_highest], players[:n_lowest]


def add_sound(
    players: Sequence[Player], *, machine_type: str, recordings: Recordings, detector: Detector
) -> tuple[list[Player], list[str]]:
    """Add sound and picture to players, with the same gain and colour scale for all.

    Returns
    -------
    tuple
        The players in their order, and a line for each recording that cannot be read; one that is not found has no
        sound.
    """
    waveforms: dict[str, NDArray[np.float32]] = {}
    problems = []
    for player in players:
        path = recordings.get((machine_type, player.file_name), recordings.get(("", player.file_name)))
        if path is None:
            continue
        try:
            with audio_errors_at(path):
                waveform = read_recording(path, detector.settings)
                waveforms[player.file_name] = detector.front_end.sound(waveform, "original")
        except AudioError as error:
            problems.append(str(error))
    if not waveforms:
        return list(players), problems
    return _with_sound(players, waveforms, detector), problems


def _with_sound(
    players: Sequence[Player], waveforms: Mapping[str, NDArray[np.float32]], detector: Detector
) -> list[Player]:
    sample_rate = detector.settings.audio.sample_rate
    n_samples = round(_SECONDS * sample_rate)
    beginnings = {name: waveform[:, :n_samples] for name, waveform in waveforms.items()}
    peak = max(float(np.abs(waveform).max()) for waveform in beginnings.values())
    gain = player_gain(peak)
    log_mel = LogMel(detector.settings.log_mel, sample_rate=sample_rate)
    maps = {name: log_mel(waveform[0]) for name, waveform in beginnings.items()}
    low, high = np.percentile(np.concatenate([values.ravel() for values in maps.values()]), (2, 99.8))
    return [
        replace(
            player,
            sound=audio_uri(gain * beginnings[player.file_name][0], sample_rate=sample_rate),
            picture=map_uri(_thumbnail(maps[player.file_name]), low=float(low), high=float(max(high, low + 1.0))),
            seconds=waveforms[player.file_name].shape[1] / sample_rate,
            is_cut=waveforms[player.file_name].shape[1] > n_samples,
        )
        if player.file_name in waveforms
        else player
        for player in players
    ]


def _truths(labelled: LabelledClips | None) -> dict[str, str]:
    if labelled is None:
        return {}
    return {
        key: ", ".join(filter(None, ("anomalous" if is_anomaly else "normal", str(domain))))
        for key, is_anomaly, domain in zip(labelled.keys, labelled.is_anomaly, labelled.domains, strict=True)
    }


def _thumbnail(log_mel: NDArray[np.float32]) -> Array:
    return shrink(shrink(log_mel, _MOST_BANDS, axis=0), _MOST_FRAMES)

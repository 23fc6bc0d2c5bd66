"""The most and the least normal of scored clips, to look at and to listen to within a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import LogMel
from soundness.data.clips import clip_key
from soundness.data.datasets import list_clips, open_dataset
from soundness.detectors.detector import Detector
from soundness.detectors.reader import read_recording
from soundness.errors import AudioError, audio_errors_at
from soundness.evaluation.score_files import MachineScores
from soundness.evaluation.year_metrics import LabelledClips
from soundness.reports.pages import audio_uri, map_uri

__all__ = ["NO_RECORDINGS", "Player", "Recordings", "add_sound", "extreme_clips", "find_recordings", "n_players"]

_SECONDS = 10.0  # of a recording that are played
_MOST_PLAYERS = 48  # of a page, about 60 kB each
_MOST_AT_AN_END = 3
_PEAK = 0.9

Recordings = Mapping[tuple[str, str], Path]
"""Paths by machine type and file name; the machine type is ``""`` where folders do not tell it."""

NO_RECORDINGS: Recordings = {}


@dataclass(frozen=True, slots=True)
class Player:
    """A scored clip of a page.

    Parameters
    ----------
    file_name
        As in the score file.
    anomaly_score
        Higher is more anomalous.
    decision
        1 where it was called anomalous, else 0; ``None`` where nothing was decided.
    truth
        Label and domain in words; ``""`` where they are not known.
    sound, picture
        Data URIs of the recording and of its log-mel; ``None`` where it is not found or cannot be read.
    seconds
        Length of the recording; ``None`` as above.
    is_cut
        Whether the player has its beginning alone.
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
    """How many clips of each end a page has for each machine, so that the page stays small."""
    return max(1, min(_MOST_AT_AN_END, _MOST_PLAYERS // (2 * n_machines)))


def find_recordings(data: Path) -> Recordings:
    """The recordings that can be scored in a folder: test clips, and training clips of other names.

    Where a folder holds one machine, its name is not asked for.

    Raises
    ------
    DataError
        As for `soundness.data.datasets.list_clips`.
    """
    listed = {(clip.machine_type, clip.path.name): clip.path for clip in list_clips([data])}
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
    players = [
        Player(
            file_name=scores.file_names[index],
            anomaly_score=float(scores.anomaly_scores[index]),
            decision=None if scores.decisions is None else int(scores.decisions[index]),
            truth=truths.get(clip_key(scores.file_names[index]), ""),
        )
        for index in order
    ]
    return players[::-1][:n_highest], players[:n_lowest]


def add_sound(
    players: Sequence[Player], *, machine_type: str, recordings: Recordings, detector: Detector
) -> tuple[list[Player], list[str]]:
    """Players with sound and picture, all as loud and as bright as in the recordings beside each other.

    Returns
    -------
    tuple
        The players in their order, and a line for each recording that cannot be read; one that is not found is left
        without a sound.
    """
    heard: dict[str, NDArray[np.float32]] = {}
    problems = []
    for player in players:
        path = recordings.get((machine_type, player.file_name), recordings.get(("", player.file_name)))
        if path is None:
            continue
        try:
            with audio_errors_at(path):
                waveform = read_recording(path, detector.settings)
                heard[player.file_name] = detector.front_end.sound(waveform, "original")
        except AudioError as error:
            problems.append(str(error))
    if not heard:
        return list(players), problems
    return _shown(players, heard, detector), problems


def _shown(players: Sequence[Player], heard: Mapping[str, NDArray[np.float32]], detector: Detector) -> list[Player]:
    sample_rate = detector.settings.audio.sample_rate
    n_samples = round(_SECONDS * sample_rate)
    beginnings = {name: waveform[:, :n_samples] for name, waveform in heard.items()}
    peak = max(float(np.abs(waveform).max()) for waveform in beginnings.values())
    gain = np.float32(_PEAK / peak if peak > 0 else 1.0)
    log_mel = LogMel(detector.settings.log_mel, sample_rate=sample_rate)
    maps = {name: log_mel(waveform[0]) for name, waveform in beginnings.items()}
    low, high = np.percentile(np.concatenate([values.ravel() for values in maps.values()]), (2, 99.8))
    return [
        replace(
            player,
            sound=audio_uri(gain * beginnings[player.file_name][0], sample_rate=sample_rate),
            picture=map_uri(_shrunk(maps[player.file_name]), low=float(low), high=float(max(high, low + 1.0))),
            seconds=heard[player.file_name].shape[1] / sample_rate,
            is_cut=heard[player.file_name].shape[1] > n_samples,
        )
        if player.file_name in heard
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


def _shrunk(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most about 160 frames and 64 bands: means of neighbours."""
    for axis, most in ((0, 64), (1, 160)):
        step = max(1, values.shape[axis] // most)
        starts = np.arange(0, values.shape[axis] - step + 1, step)
        values = np.stack(
            [values.take(range(start, start + step), axis=axis).mean(axis=axis) for start in starts], axis
        )
    return values

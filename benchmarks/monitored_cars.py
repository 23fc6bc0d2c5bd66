"""Recordings and detectors for `monitor.py`: toy cars strung into streams, and a detector of ten-second clips."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

import soundness
from arrangements import real

__all__ = ["CLIP_SECONDS", "MANY_ALARMS", "RATE", "car_detector", "configuration", "write_stream"]

RATE = 16_000
CLIP_SECONDS = 10
MANY_ALARMS = 'longest_window = 1\nquiet_clips = 1\nminimum_gap = "1s"\n'
"""Settings of a sensor that raises an alarm at one anomalous clip, and ends it at the next that is not."""

N_TRAINED = 100  # clips of ten seconds


def car_detector(work: Path) -> Path:
    """A detector of the default system, trained on ten-second clips of car 1."""
    data, run = work / "ten-seconds", work / "ten-seconds-run"
    if not run.exists():
        samples = _strung(_cars("train"), N_TRAINED * CLIP_SECONDS)
        folder = data / "car" / "train"
        folder.mkdir(parents=True, exist_ok=True)
        n_clip = CLIP_SECONDS * RATE
        for number, start in enumerate(range(0, len(samples), n_clip)):
            clip = samples[start : start + n_clip]
            soundfile.write(folder / f"section_00_source_train_normal_{number:04d}_car_1.wav", clip, RATE)
        soundness.train(data, run)
    return run / "car.soundness"


def write_stream(path: Path, seconds: int, *, anomalous: Sequence[tuple[int, int]] = ()) -> Path:
    """Write normal cars that the detector has not learned from, as one recording, with a whistle between seconds."""
    if not path.exists():
        samples = _strung(_cars("test", "normal"), seconds)
        whistle = 0.1 * 2**15 * np.sin(2 * np.pi * 3_000 * np.arange(len(samples)) / RATE)
        for start, end in anomalous:
            at = slice(start * RATE, end * RATE)
            samples[at] = np.clip(samples[at] + whistle[at], -(2**15), 2**15 - 1)
        soundfile.write(path, samples, RATE, format="FLAC", subtype="PCM_16")
    return path


def _cars(split: str, label: str = "normal") -> list[Path]:
    return sorted((real("toycar") / "ToyCar" / split).glob(f"*_source_{split}_{label}_*.wav"))


def _strung(paths: Sequence[Path], seconds: int) -> np.ndarray:
    """Recordings one after the other, from the first again if they do not last."""
    parts, n_samples = [], 0
    while n_samples < seconds * RATE:
        for path in paths:
            parts.append(soundfile.read(path, dtype="int16")[0])
            n_samples += len(parts[-1])
            if n_samples >= seconds * RATE:
                break
    return np.concatenate(parts)[: seconds * RATE]


def configuration(folder: Path, sources: Sequence[str], *, detector: Path, more: str = "", sensor: str = "") -> Path:
    """Write the configuration of a monitor of some cars into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [more, "[store]" if "[store]" not in more else "", 'folder = "data"', "min_free_gigabytes = 0.0"]
    lines += ["[service]", "is_on = false"]
    for number, source in enumerate(sources):
        lines += ["[[sensor]]", f'name = "car {number}"', f'source = "{source}"', f'detector = "{detector}"']
        lines += ['false_alarms = "1/day"', f"clip_seconds = {CLIP_SECONDS:.1f}", sensor]
    path = folder / "monitor.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

"""Copies and overlapping clips among the training clips: what is promised of new clips still holds."""

import shutil

import numpy as np
import pytest
import soundfile

from soundness.errors import DataError
from soundness.settings.loading import load_settings
from soundness.training.run import train

RATE = 16_000


def machine(seed, *, seconds=2.0):
    """A steady machine: tones whose levels differ a little from clip to clip, and noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    tones = [np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) * (1 + 0.1 * rng.standard_normal()) for f in (97, 194, 776)]
    return 0.05 * (sum(tones) + 0.3 * rng.standard_normal(len(t)))


def write(path, samples, **kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, **kind)
    return path


def share_anomalous(detector, sounds):
    return np.mean([detector.decide(detector.score(sound[None].astype(np.float32))) for sound in sounds])


def test_copies_count_once(tmp_path):
    for seed in range(12):
        path = write(tmp_path / "pump" / f"n{seed:02d}.wav", machine(seed))
        write(tmp_path / "alone" / f"n{seed:02d}.wav", machine(seed))
        if seed % 2 == 0:
            shutil.copy(path, path.with_name(f"{path.stem} - Copy.wav"))
        else:
            write(path.with_name(f"{path.stem}_again.flac"), 0.5 * machine(seed))
    (path.with_name("n11 again.wav")).write_bytes(path.read_bytes())
    copied, alone = (train(tmp_path / name, tmp_path / f"{name}_run")[0] for name in ("pump", "alone"))
    assert "13 of 25 training clips are copies of others" in copied.summary.notes[0]
    assert copied.summary.n_clips == {"": 12}
    assert copied.threshold.value == pytest.approx(alone.threshold.value, abs=1e-6)


def test_clips_that_overlap_are_left_out_together(tmp_path):
    long = machine(7, seconds=130)
    clips = [long[k * RATE :][: 4 * RATE] for k in range(24)]
    for k, clip in enumerate(clips):
        write(tmp_path / "pump" / f"c{k:02d}.wav", clip)
    new = [long[k * RATE :][: 4 * RATE] for k in range(30, 126, 4)]
    together = train(tmp_path / "pump", tmp_path / "run")[0]
    ignored = train(
        tmp_path / "pump", tmp_path / "run2", system=load_settings("soundness", overrides=["dependence=ignore"])
    )[0]
    assert "24 of 24 training clips share sound with others" in together.summary.notes[0]
    assert share_anomalous(together, new) <= 0.3
    assert share_anomalous(ignored, new) >= 0.9


def test_clips_of_a_group_are_left_out_together(tmp_path):
    rng = np.random.default_rng(1)
    for day in range(6):
        level = rng.uniform(0.3, 1.0, size=2)  # of the day
        for clip in range(5):
            t = np.arange(2 * RATE) / RATE
            tones = level[0] * np.sin(600 * t + rng.uniform(0, 6)) + level[1] * np.sin(3000 * t + rng.uniform(0, 6))
            write(tmp_path / "pump" / f"day{day}_{clip}.wav", 0.1 * tones + 0.02 * rng.standard_normal(len(t)))
    settings = load_settings("soundness", overrides=["group_by=prefix"])
    grouped = train(tmp_path / "pump", tmp_path / "run", system=settings)[0]
    alone = train(tmp_path / "pump", tmp_path / "run2")[0]
    assert grouped.threshold.value > alone.threshold.value


def test_copies_of_one_recording_are_no_training_set(tmp_path):
    for name in "abcd":
        write(tmp_path / "pump" / f"{name}.wav", machine(1))
    with pytest.raises(DataError, match=r"1 recording\(s\) among 4 training clips"):
        train(tmp_path / "pump", tmp_path / "run")


def test_clips_that_are_held_out_share_no_sound_with_the_training(tmp_path):
    for seed in range(12):
        path = write(tmp_path / "pump" / f"n{seed:02d}.wav", machine(seed))
        shutil.copy(path, path.with_name(f"{path.stem} - Copy.wav"))
    settings = load_settings("soundness", overrides=["calibration=held-out", "calibration_share=0.4"])
    detector = train(tmp_path / "pump", tmp_path / "run", system=settings)[0]
    (note,) = [note for note in detector.summary.notes if "that are held out share sound" in note]
    n_clips = sum(detector.calibration.n_clips.values())
    assert note.startswith(f"{10 - n_clips} of 10 clips")
    grouped = load_settings("soundness", overrides=["calibration=held-out", r"group_by='^n\d+'"])
    detector = train(tmp_path / "pump", tmp_path / "run2", system=grouped)[0]
    assert detector.calibration.n_clips == {"": 3}  # three of twelve, each twice

"""Copies and shared sound are named before any training."""

import shutil

import numpy as np
import soundfile

from soundness.screening.inspection import inspect

RATE = 16_000


def write(path, seed, *, n=2 * RATE, start=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = 0.1 * np.random.default_rng(seed).standard_normal(4 * RATE)
    soundfile.write(path, sound[start : start + n], RATE)
    return path


def messages(folder):
    return [problem.message for problem in inspect(folder).problems]


def test_copies_and_overlaps_are_named_and_copies_in_the_test_are_a_warning_of_their_own(tmp_path):
    for seed in range(5):
        write(tmp_path / "pump" / "train" / f"n{seed}.wav", seed)
        write(tmp_path / "pump" / "test" / f"t{seed}.wav", 10 + seed)
    assert not any("copies" in message or "share" in message for message in messages(tmp_path / "pump"))
    normal = tmp_path / "pump" / "train"
    shutil.copy(normal / "n0.wav", normal / "n0 (1).wav")
    write(normal / "later.wav", 3, start=RATE)
    shutil.copy(normal / "n2.wav", tmp_path / "pump" / "test" / "t2_of_n.wav")
    found = messages(tmp_path / "pump")
    assert any("copies of others by sound: n0 (1).wav of n0.wav, t2_of_n.wav of n2.wav" in message for message in found)
    assert any("2 of 13 recordings share sound with others: later.wav and n3.wav" in message for message in found)
    assert any("1 test clips are copies of training clips, e.g. t2_of_n.wav of n2.wav" in message for message in found)


def test_quiet_recordings_with_an_offset_are_no_copies_of_each_other(tmp_path):
    for seed in range(4):
        sound = 1e-5 * np.random.default_rng(seed).standard_normal(2 * RATE) + 0.01
        (tmp_path / "pump").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "pump" / f"{seed}.wav", sound, RATE, subtype="FLOAT")
    assert not any("copies" in message or "share" in message for message in messages(tmp_path / "pump"))

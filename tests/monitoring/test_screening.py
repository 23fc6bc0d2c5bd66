"""New normal clips of which one is not normal."""

import numpy as np
import pytest
import soundfile

from soundness.data.finding import Selection
from soundness.errors import DataError
from soundness.monitoring.enrolment import enroll
from soundness.monitoring.recalibration import calibrate
from soundness.training.run import train

RATE = 16_000


def machine(seed, *, tone=0.0, speed=1.0, seconds=1.2):
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    hums = [
        np.sin(2 * np.pi * speed * f * t + rng.uniform(0, 6)) * (1 + 0.1 * rng.standard_normal()) for f in (97, 776)
    ]
    noise = rng.standard_normal(len(t)) * (1 + 0.1 * rng.standard_normal())
    return 0.05 * (sum(hums) + 0.3 * noise + tone * np.sin(2 * np.pi * 3_000 * t))


def write(folder, seeds, **options):
    folder.mkdir(parents=True)
    for seed in seeds:
        soundfile.write(folder / f"c{seed:03d}.wav", machine(seed, **options), RATE)
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (found,) = train(write(folder / "fan", range(24)), folder / "run")
    return found


def with_faulty(folder, name="c999.wav"):
    soundfile.write(folder / name, machine(999, tone=0.5), RATE)
    return folder / name


def test_a_faulty_clip_does_not_calibrate(detector, tmp_path):
    folder = write(tmp_path / "new", range(100, 114))
    alone = calibrate(detector, folder)
    faulty = with_faulty(folder)
    calibrated = calibrate(detector, folder)
    assert calibrated.threshold.value == alone.threshold.value
    first, cost = calibrated.calibration.notes[:2]
    assert "new/c999.wav: a tone near 3.0 kHz" in first
    assert "set aside" in first
    assert "without new/c999.wav the threshold falls from" in cost
    kept = calibrate(detector, Selection(folder, keep=[faulty]))
    assert kept.threshold.value > alone.threshold.value
    assert "kept" in kept.calibration.notes[0]


def test_a_file_to_keep_must_be_among_the_new_ones(detector, tmp_path):
    folder = write(tmp_path / "new", range(100, 112))
    with pytest.raises(DataError, match=r"c500\.wav: to be kept, but it is none of the 12 new recordings"):
        calibrate(detector, Selection(folder, keep=[folder / "c500.wav"]))


def test_a_new_operating_condition_is_enrolled_as_a_group(detector, tmp_path):
    folder = write(tmp_path / "fast", range(200, 212), speed=1.5)
    assert len(enroll(detector, folder, condition="fast").clips) == 12


def test_a_faulty_clip_of_a_new_condition_is_refused_unless_it_is_kept(detector, tmp_path):
    folder = write(tmp_path / "fast", range(200, 212), speed=1.5)
    soundfile.write(folder / "c999.wav", machine(999, speed=1.5, tone=0.6), RATE)
    with pytest.raises(DataError, match=r"c999\.wav: .*like the other 12 new clips, with a tone near 3\.0 kHz"):
        enroll(detector, folder, condition="fast")
    kept = enroll(detector, Selection(folder, keep=[folder / "c999.wav"]), condition="fast")
    assert len(kept.clips) == 13

"""What is promised of the next clips of a machine whose normal sound wanders."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundness.data.clips import Clip
from soundness.representations.protocol import MachineSpectrograms
from soundness.scoring.decisions.calibration import Calibration
from soundness.scoring.protocol import TrainingVectors
from soundness.screening.time_order import wander_p_value
from soundness.settings.loading import load_settings
from soundness.training.preparation.time_order import calibrated_in_order
from soundness.training.run import train

RATE = 16_000
N_CLIPS = 60


def life(*, wander, n_clips=N_CLIPS + 10, seed=4):
    """Clips of half a second whose resonance and level walk at random from one to the next."""
    rng = np.random.default_rng(seed)
    hz, place, level = np.fft.rfftfreq(RATE // 2, 1 / RATE), 2000.0, 0.0
    for _ in range(n_clips):
        place, level = place * (1 + wander * rng.standard_normal()), level + 100 * wander * rng.standard_normal()
        gain = 0.1 + 10 ** (level / 20) / np.sqrt(1 + np.square((hz - place) / 150))
        yield 0.05 * np.fft.irfft(np.fft.rfft(rng.standard_normal(RATE // 2)) * gain)


def trained(tmp_path, sounds, *overrides, name="clip_{:03d}.wav"):
    folder = tmp_path / "pump"
    folder.mkdir(exist_ok=True)
    for index, sound in enumerate(sounds):
        soundfile.write(folder / name.format(index), sound, RATE)
    return train(
        folder, tmp_path / "_".join(["run", *overrides]), system=load_settings("soundness", overrides=overrides)
    )[0]


def share_anomalous(detector, sounds):
    return np.mean([detector.decide(detector.score(sound[None].astype(np.float32))) for sound in sounds])


@pytest.fixture(scope="module")
def wandering():
    return list(life(wander=0.025))


def test_the_threshold_of_a_machine_that_wanders_is_that_of_later_clips(tmp_path, wandering):
    auto = trained(tmp_path, wandering[:N_CLIPS])
    off = trained(tmp_path, wandering[:N_CLIPS], "calibration_blocks=off")
    assert auto.calibration.origin == "later"
    assert "normal sound wanders in the order of the names" in "\n".join(auto.summary.notes)
    assert "right but for the difference that one clip makes" not in "\n".join(auto.summary.notes)
    assert "each calibration clip was left out" in "\n".join(off.summary.notes)
    assert auto.threshold.value > off.threshold.value
    following = wandering[N_CLIPS:]
    assert share_anomalous(auto, following) <= 0.1
    assert share_anomalous(off, following) >= 0.3


def test_clips_whose_numbers_carry_no_time_are_calibrated_as_before(tmp_path, wandering):
    name = "section_00_source_train_normal_{:04d}_a.wav"
    detector = trained(tmp_path, wandering[:N_CLIPS], name=name)
    assert detector.calibration.origin == "left-out"


def test_a_machine_that_does_not_wander_is_calibrated_as_before(tmp_path):
    auto = trained(tmp_path, life(wander=0.0, n_clips=40))
    off = trained(tmp_path, life(wander=0.0, n_clips=40), "calibration_blocks=off")
    assert auto.calibration.origin == "left-out"
    assert auto.threshold == off.threshold


def test_further_views_do_not_hide_that_it_wanders():
    rng = np.random.default_rng(0)
    bands = np.cumsum(rng.normal(size=(N_CLIPS, 8)), axis=0)
    vectors = np.concatenate([bands, rng.normal(size=(N_CLIPS, 2_000))], axis=1)
    clips = [Clip(path=Path(f"pump/{index}.wav"), machine_type="pump", split="train") for index in range(N_CLIPS)]
    machine = MachineSpectrograms(
        machine_type="pump",
        clips=tuple(clips),
        spectrograms=(),
        copies=(),
        notes=(),
        seconds=0.0,
        separation_seconds=0.0,
        conditions=(),
    )
    settings = load_settings(overrides=["scorer.anomaly_width=0", "scorer.members=[{view=0}]", "scorer.peaks=[]"])
    before = Calibration.from_scores({"": rng.normal(size=N_CLIPS)}, origin="left-out")
    training = TrainingVectors.from_vectors(vectors, view_sizes=(8, 2_000), n_bands=8)
    assert wander_p_value(training.own, rng=np.random.default_rng(0)) > 0.005  # together, the noise prevails
    found = calibrated_in_order(machine, training, before, settings)
    assert "normal sound wanders in the order of the names" in "\n".join(found.notes)

"""Training clips that are not like the others: named, set aside, and kept where the user says so."""

import numpy as np
import pytest
import soundfile

from soundness.data.finding import Selection
from soundness.errors import DataError
from soundness.settings.loading import load_settings
from soundness.training.run import train

RATE = 16_000
FAULTY = "n05.wav"


def machine(seed, *, tone=0.0, seconds=1.5):
    """A machine whose hum and noise differ a little from clip to clip, and a whistle in a faulty one."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    hums = [np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) * (1 + 0.1 * rng.standard_normal()) for f in (97, 194, 776)]
    noise = rng.standard_normal(len(t)) * (1 + 0.1 * rng.standard_normal())
    return 0.05 * (sum(hums) + 0.3 * noise + tone * np.sin(2 * np.pi * 3_000 * t))


@pytest.fixture(scope="module")
def fan(tmp_path_factory):
    """Fifteen clips, one of them faulty."""
    folder = tmp_path_factory.mktemp("data") / "fan" / "normal"
    folder.mkdir(parents=True)
    for seed in range(15):
        name = f"n{seed:02d}.wav"
        soundfile.write(folder / name, machine(seed, tone=0.5 * (name == FAULTY)), RATE)
    return folder.parent


@pytest.fixture
def trained(fan, tmp_path):
    def run(*overrides, keep=(), system="soundness", data=fan):
        settings = load_settings(system, overrides=overrides)
        return train(Selection(data, keep=keep), tmp_path / "run", system=settings, existing="replace")[0]

    return run


def finds_fault(detector):
    return [detector.decide(detector.score(machine(seed, tone=0.5)[None].astype(np.float32))) for seed in range(90, 95)]


def test_a_faulty_clip_is_named_and_set_aside(trained):
    detector = trained()
    record = detector.summary.screening
    (suspect,) = record.suspects
    assert suspect.name == f"normal/{FAULTY}"
    assert suspect.is_set_aside
    assert "tone near 3.0 kHz" in suspect.finding
    assert "above the others" in suspect.finding
    assert record.threshold_without < record.threshold_with
    assert f"without normal/{FAULTY} the threshold falls from" in record.cost
    assert len(record.p_values) == 15
    assert detector.summary.n_clips == {"": 14}
    assert f"normal/{FAULTY}" not in detector.normal_clips.names
    assert finds_fault(detector) == [1] * 5


def test_a_clip_that_the_user_keeps_stays_and_is_named_all_the_same(trained, fan):
    record = trained(keep=[fan / "normal" / FAULTY]).summary.screening
    (suspect,) = record.suspects
    assert not suspect.is_set_aside
    assert record.threshold_without < record.threshold_with


def test_the_setting_keep_names_and_keeps(trained):
    detector = trained("screening=keep")
    assert [suspect.is_set_aside for suspect in detector.summary.screening.suspects] == [False]
    assert detector.summary.n_clips == {"": 15}
    assert finds_fault(detector) != [1] * 5


def test_ask_refuses_with_names_and_what_to_add(trained, fan, tmp_path):
    with pytest.raises(DataError, match=rf"1 training clip.*{FAULTY}: a tone near 3.0 kHz.*--keep FILE"):
        trained("screening=ask")
    assert not (tmp_path / "run" / "run.json").exists()
    detector = trained("screening=ask", keep=[fan / "normal" / FAULTY])
    assert detector.summary.n_clips == {"": 15}


def test_a_file_to_keep_that_is_no_training_clip_is_refused(trained, fan):
    with pytest.raises(DataError, match=r"n99\.wav: to be kept, but it is none of the 15 training recordings"):
        trained(keep=[fan / "normal" / "n99.wav"])


def test_a_faulty_clip_does_not_calibrate_where_clips_are_held_out(trained):
    for share in ("0.2", "0.5"):
        detector = trained("calibration=held-out", f"calibration_share={share}")
        assert [suspect.name for suspect in detector.summary.screening.set_aside] == [f"normal/{FAULTY}"]
        assert finds_fault(detector) == [1] * 5


def test_normal_clips_alone_are_not_set_aside(tmp_path):
    folder = tmp_path / "pump" / "normal"
    folder.mkdir(parents=True)
    for seed in range(20):
        soundfile.write(folder / f"n{seed:02d}.wav", machine(100 + seed), RATE)
    (detector,) = train(folder.parent, tmp_path / "run")
    assert detector.summary.screening.suspects == ()
    assert detector.summary.screening.lines == ()

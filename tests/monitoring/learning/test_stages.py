import numpy as np
import pytest

from learning_monitors import CLIP_SECONDS, settings
from monitored import hum_at
from soundness.errors import DataError
from soundness.monitoring.configuration.learning_plan import LearningPlan
from soundness.monitoring.learning.commissioning import learning_job
from soundness.monitoring.learning.recordings import LearningFolder
from soundness.monitoring.learning.stages import block_levels, cross_fitted, run_stage
from soundness.scoring.decisions.calibration import Calibration

PLAN = LearningPlan(seconds=20.0, hop_seconds=CLIP_SECONDS)


@pytest.fixture
def recorded(tmp_path):
    """A folder of recordings to learn from, two of which do not belong."""
    folder = LearningFolder(tmp_path / "learning" / "1")
    for index in range(PLAN.n_clips):
        hz = {3: 2_000, 20: 4_500}.get(index, 400)
        audio = hum_at(tmp_path / "clip.wav", hz, seed=index)
        folder.keep(audio, index=index, start_us=index * 500_000, plan=PLAN)
        audio.unlink()
    return folder


def screened(folder, **options):
    job = learning_job(settings(**options).sensor[0], folder, stage="screening", out=folder.path / "out.soundness")
    return run_stage(job)


def test_no_more_than_the_stated_share_is_set_aside(recorded):
    assert sorted(each["clip"][-10:] for each in screened(recorded)["set_aside"]) == ["000003.wav", "000020.wav"]
    found = screened(recorded, set_aside=0.025)
    assert len(found["set_aside"]) == 1
    assert any("2 clips are unlike the others; more than 1 (2%) are not set aside" in note for note in found["notes"])
    assert screened(recorded, set_aside=0.0)["set_aside"] == []


def test_a_clip_that_cannot_be_read_is_left_out_and_said(recorded):
    recorded.clips("train")[0].write_bytes(b"no sound")
    assert "cannot be read, left out: 1 clip" in screened(recorded)["notes"]


def test_too_few_clips_are_refused(recorded):
    for path in (*recorded.clips("train")[3:], *recorded.clips("calibrate")):
        path.unlink()
    with pytest.raises(DataError, match="3 of 3 clips hold sound; expected at least 8"):
        screened(recorded)


def test_a_clip_gets_its_p_value_from_the_clips_of_other_blocks():
    scores, blocks = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1])
    assert cross_fitted(scores, blocks) == [1.0, 1.0, 1 / 3, 1 / 3]
    assert cross_fitted(scores, np.zeros(4)) == [1.0, 0.8, 0.6, 0.4]
    calibration = Calibration.from_scores({"": np.arange(11.0)}, origin="fresh")
    deviation = (9.0 - 5.0) / 1.2816
    expected = [(1.5 - 5.0) / deviation, (3.5 - 5.0) / deviation]
    assert block_levels(scores, blocks, calibration) == [pytest.approx(level, abs=1e-4) for level in expected]


def test_recordings_are_found_in_the_order_of_time(recorded):
    names = [path.name for path in recorded.clips("train")]
    assert names == sorted(names)
    assert names[0].startswith("1970-01-01T00-00-00.000_")

from collections import Counter

import pytest

from soundness.errors import SettingsError
from soundness.monitoring.configuration.learning_plan import LearningPlan

DAY = LearningPlan(seconds=86_400.0, hop_seconds=10.0)


def test_of_a_day_whole_hours_are_held_back_all_over_it():
    held_back = {DAY.block_of(index) for index in range(DAY.n_clips) if DAY.use_of(index) == "calibrate"}
    assert held_back == {2, 6, 10, 14, 18, 22}
    assert DAY.block_clips == 360
    assert not any(DAY.use_of(index) == "train" for index in range(DAY.n_clips) if DAY.block_of(index) in held_back)


@pytest.mark.parametrize(("seconds", "hop"), [(86_400.0, 10.0), (604_800.0, 1.0), (86_400.0, 60.0)])
def test_no_more_clips_are_kept_than_a_computer_can_train_on(seconds, hop):
    plan = LearningPlan(seconds=seconds, hop_seconds=hop)
    uses = Counter(plan.use_of(index) for index in range(plan.n_clips))
    assert 350 <= uses["train"] <= 600
    assert 350 <= uses["calibrate"] <= 1_500


def test_clips_that_are_held_back_of_an_hour_follow_each_other():
    places = [index % 360 for index in range(DAY.n_clips) if DAY.use_of(index) == "calibrate"]
    assert places == list(range(250)) * 6


def test_a_short_period_is_cut_into_twelve_blocks():
    plan = LearningPlan(seconds=600.0, hop_seconds=10.0)
    assert [plan.use_of(index) for index in range(15)] == ["train"] * 10 + ["calibrate"] * 5
    assert plan.n_held_back == 3


def test_a_period_of_too_few_clips_is_refused():
    with pytest.raises(SettingsError, match=r"learn: 60 s hold 6 clips, one every 10 s; expected at least 30, 300 s"):
        LearningPlan(seconds=60.0, hop_seconds=10.0)

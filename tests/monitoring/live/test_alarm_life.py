"""Alarms of a sensor over time."""

import pytest

from soundness.monitoring.live.alarm_life import AlarmLife, FailingClips
from soundness.monitoring.store.records import ClipRow
from soundness.scoring.decisions.alarms import AlarmRule

CLIP_US = 10_000_000


def rule(n_anomalous: int = 2, n_clips: int = 3) -> AlarmRule:
    return AlarmRule(
        p_value=0.1,
        n_anomalous=n_anomalous,
        n_clips=n_clips,
        clip_every_seconds=10.0,
        asked_per_day=1.0,
        expected_per_day=0.5,
        bound_per_day=1.0,
        dependent_per_day=10.0,
    )


def life(**others) -> AlarmLife:
    return AlarmLife(rule(), **{"quiet_clips": 2, "minimum_gap_us": 10 * CLIP_US, **others})


def changes(own: AlarmLife, p_values: list[float], *, first: int = 0) -> list[str]:
    return [own.add(p, end_us=(first + index + 1) * CLIP_US).change for index, p in enumerate(p_values)]


def test_an_alarm_is_raised_continued_and_ended_after_quiet_clips():
    # Of three clips two: raised with the second; the window still holds two with the third, which is normal itself.
    assert changes(life(), [0.05, 0.05, 0.9, 0.9, 0.9]) == ["", "raised", "", "", "ended"]
    assert changes(life(), [0.05, 0.05, 0.05, 0.9, 0.9, 0.9]) == ["", "raised", "continued", "", "", "ended"]


def test_an_anomalous_clip_among_the_quiet_ones_delays_the_end_only_if_the_rule_finds_an_alarm():
    assert changes(life(), [0.05, 0.05, 0.9, 0.9, 0.05, 0.9, 0.9]) == ["", "raised", "", "", "ended", "", ""]


@pytest.mark.parametrize(("gap", "expected"), [(10, "resumed"), (11, "raised")])
def test_an_alarm_soon_after_the_end_of_one_is_the_same_one(gap, expected):
    own = life()
    assert changes(own, [0.05, 0.05, 0.9, 0.9, 0.9])[-1] == "ended"  # at the end of clip 5
    changes(own, [0.9] * (gap - 2), first=5)
    assert changes(own, [0.05, 0.05], first=3 + gap) == ["", expected]


def test_an_alarm_that_was_on_before_a_restart_is_not_raised_again():
    own = life(anomalous=[True, True], is_on=True)
    assert changes(own, [0.05, 0.9, 0.9, 0.9]) == ["continued", "", "", "ended"]


def test_the_window_goes_on_after_a_restart():
    assert changes(life(anomalous=[False, True]), [0.05]) == ["raised"]


def test_muted_clips_raise_nothing_and_do_not_count_later():
    own = life()
    muted = [own.add(0.01, end_us=n * CLIP_US, is_muted=True) for n in range(5)]
    assert {step.change for step in muted} == {""}
    assert all(step.is_anomalous for step in muted)
    assert changes(own, [0.05, 0.9, 0.9], first=5) == ["", "", ""]


def test_an_end_that_lies_after_the_clip_resumes_nothing():
    own = life(ended_us=100 * CLIP_US)  # the clock was set back
    assert changes(own, [0.05, 0.05]) == ["", "raised"]


def faults(outcomes: str, *, fault_seconds: float = 40.0) -> list[bool]:
    """True for each clip of 10 s that is a fault; an outcome is the first letter of failed, scored, learned or gap."""
    own, found = FailingClips(fault_seconds), []
    for index, letter in enumerate(outcomes):
        outcome = {"f": "failed", "s": "scored", "l": "learned", "g": "gap"}[letter]
        row = ClipRow(sensor_id=1, number=index + 1, start_us=index * CLIP_US, seconds=10.0, outcome=outcome,
                      state="normal", note="damaged")  # fmt: skip
        found.append(own.add(row) == "no clip can be judged: damaged")
    return found


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("ssss", "...."),
        ("ffff", "...x"),
        ("sfffff", "....xx"),
        ("fffsfff", "......."),
        ("ffflfff", "......."),
        ("ffgf", "...x"),
        ("fgggg", "....."),
    ],
)
def test_clips_that_nobody_can_judge_are_a_fault_once_they_last(outcomes, expected):
    assert "".join(".x"[one] for one in faults(outcomes)) == expected


def test_two_recordings_that_are_damaged_are_no_fault_of_the_sensor():
    assert faults("ff", fault_seconds=10.0) == [False, False]


def test_without_a_gap_an_alarm_at_the_very_end_of_one_is_another():
    own = life(quiet_clips=1, minimum_gap_us=0)
    p_values = [0.05, 0.05, 0.9, 0.9, 0.05, 0.05]
    steps = [own.add(p, end_us=CLIP_US).change for p in p_values]  # as of files that were all copied at once
    assert steps == ["", "raised", "", "ended", "", "raised"]

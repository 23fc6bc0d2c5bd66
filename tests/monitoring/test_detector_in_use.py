"""A detector that scores a sensor's clips: its file, and the rule of its alarms."""

from dataclasses import replace

import pytest

from live_monitor import SECONDS
from monitored import rule
from soundness.detectors.saving import save_detector
from soundness.monitoring.configuration.monitor_settings import SensorSettings
from soundness.monitoring.detector_in_use import load_detector_in_use


def settings(**options):
    return SensorSettings(name="fan", source="pcm:-", **{"clip_seconds": SECONDS, **options})


@pytest.fixture
def with_rule(calibrated, tmp_path):
    own = replace(rule(n_anomalous=2, n_clips=3, every=SECONDS), correlations=(0.25,))
    save_detector(replace(calibrated[0], alarm_rule=own), tmp_path / "fan.soundness")
    return tmp_path / "fan.soundness"


def test_the_rule_of_a_detector_is_used_unless_the_configuration_names_another_rate(with_rule):
    own = load_detector_in_use(with_rule, settings()).rule
    assert (own.n_anomalous, own.n_clips, own.asked_per_day, own.correlations) == (2, 3, 1.0, (0.25,))
    assert load_detector_in_use(with_rule, settings(false_alarms="1/day")).rule == own
    other = load_detector_in_use(with_rule, settings(false_alarms="100/day")).rule
    assert (other.asked_per_day, other.correlations) == (pytest.approx(100.0), (0.25,))  # as the detector knows them
    assert other.bound_per_day <= 100.0


def test_clips_that_share_sound_are_not_taken_as_independent(calibrated):
    alone = load_detector_in_use(calibrated[1], settings(false_alarms="50/day")).rule
    sharing = load_detector_in_use(calibrated[1], settings(false_alarms="50/day", hop_seconds=SECONDS / 2)).rule
    assert (alone.correlations, sharing.correlations[0]) == ((), 0.5)
    assert sharing.n_anomalous > alone.n_anomalous

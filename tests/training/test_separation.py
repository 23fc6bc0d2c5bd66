"""The use of separated sound is that of the settings, or the one that the data allow."""

import pytest

from soundness.data.datasets import open_dataset
from soundness.errors import SettingsError
from soundness.training.separation import can_train_separator, decide_separation, read_separator


@pytest.mark.parametrize(
    ("system", "has_separator", "expected"),
    [
        ("conditional", False, "augment"),  # there are noise-only clips to train a separator with
        ("conditional", True, "augment"),
        ("log-mel-knn", False, "off"),
        ("log-mel-knn", True, "denoise"),
    ],
)
def test_auto_is_what_system_and_data_allow(hall, small, system, has_separator, expected):
    settings, notes = decide_separation(open_dataset(hall), small(system), has_separator=has_separator)
    assert settings.separation == expected
    assert notes == ()


def test_without_noise_only_clips_auto_is_off_with_a_note(fan, small):
    settings, notes = decide_separation(open_dataset(fan), small("conditional"), has_separator=False)
    assert settings.separation == "off"
    assert notes == ("no noise-only clips to train a separator with: separation is off",)


@pytest.mark.parametrize(
    ("overrides", "has_separator", "message"),
    [
        (("separation=augment",), False, "is for the training of a network; this system has none"),
        (("separation=target=separated",), False, "this system has none"),
        (("separation=off",), True, "a separator comes with separation=off"),
    ],
)
def test_a_use_that_does_not_fit_is_refused(fan, small, overrides, has_separator, message):
    with pytest.raises(SettingsError, match=message):
        decide_separation(open_dataset(fan), small("log-mel-knn", *overrides), has_separator=has_separator)


def test_a_separator_is_trained_on_noise_and_something_to_mix_it_with(hall, fan):
    assert can_train_separator(open_dataset(hall).machines.values())
    assert can_train_separator(iter(open_dataset(hall).machines.values()))
    assert not can_train_separator(open_dataset(fan).machines.values())


def test_a_separator_of_another_rate_is_refused(separator_file, small):
    assert read_separator(separator_file, small()).settings.sample_rate == 16_000
    with pytest.raises(SettingsError, match=r"a separator for 16000 Hz; audio\.sample_rate is 8000 Hz"):
        read_separator(separator_file, small("conditional", "audio.sample_rate=8000", "log_mel.fmax=4000"))

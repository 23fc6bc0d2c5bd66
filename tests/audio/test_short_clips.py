"""Spectrograms of a part of a clip hold the details of that part."""

import numpy as np
import pytest

from soundness.audio.log_mel import Spectrograms
from soundness.audio.short_clips import at_length, place_of
from soundness.detectors.front_end import FrontEnd
from soundness.settings.loading import load_settings

SETTINGS = load_settings(overrides=['views=["modulation"]', "scorer.peaks=[]"])


def clip(seconds=4.0):
    waveform = np.random.default_rng(0).normal(0, 0.1, (1, round(16_000 * seconds))).astype(np.float32)
    return FrontEnd(SETTINGS).spectrograms(waveform)


@pytest.mark.parametrize("place", [0.0, place_of(3), 1.0])
def test_a_short_clip_has_details_of_its_length(place):
    short, own = at_length(clip(), 1.0, SETTINGS, place=place), clip(1.0)
    assert short.reference.shape == own.reference.shape
    assert abs(short.details.envelopes.shape[1] - own.details.envelopes.shape[1]) <= 4
    assert short.details.long_spectra.shape == (3, 4097)  # of no more windows than one second holds
    start = round(place * (clip().details.envelopes.shape[1] - short.details.envelopes.shape[1]))
    whole = clip().details.envelopes
    assert np.array_equal(short.details.envelopes, whole[:, start : start + short.details.envelopes.shape[1]])


def test_a_clip_that_is_no_longer_stays_and_one_without_details_has_none():
    own = clip()
    assert at_length(own, 4.0, SETTINGS, place=0.5) is own
    plain = Spectrograms(own.input, own.reference)
    assert at_length(plain, 1.0, SETTINGS, place=0.5).details is None

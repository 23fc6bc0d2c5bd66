"""Details of a clip can be cut, and what is not known of them is not there."""

import math

import numpy as np
import pytest

from soundness.audio.spectra.clip_spectra import ClipSpectra
from soundness.audio.spectra.details import ClipDetails
from soundness.audio.spectra.envelopes import Envelopes
from soundness.audio.spectra.long_spectrum import LongSpectrum
from soundness.settings.loading import load_settings
from soundness.settings.system import LogMelSettings

RATE = 16_000
SETTINGS = load_settings()


def noise(seconds=4.0, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def test_details_are_envelopes_and_long_spectra_of_the_settings():
    settings = load_settings(overrides=["audio.sample_rate=32000", "log_mel.fmax=4000"])
    found = ClipSpectra(settings)(noise())
    expected = Envelopes(LogMelSettings(fmax=4000.0), sample_rate=32_000)(noise())
    assert np.array_equal(found.envelopes, expected)
    assert np.array_equal(found.long_spectra, LongSpectrum(sample_rate=32_000)(noise()))


@pytest.mark.parametrize(("share", "place"), [(0.5, 0.0), (0.5, 1.0), (0.25, 0.5), (1.0, 0.3)])
def test_shortened_details_are_those_of_the_part_in_time(share, place):
    waveform, spectra = noise(), ClipSpectra(SETTINGS)
    found = spectra(waveform).shortened(share, place=place)
    start = round(place * (1 - share) * len(waveform))
    part = spectra(waveform[start : start + round(share * len(waveform))])
    assert abs(found.envelopes.shape[1] - part.envelopes.shape[1]) <= 4  # of 1,000
    n_frames = min(found.envelopes.shape[1], part.envelopes.shape[1])
    apart = [
        np.abs(found.envelopes[:, a : a + n_frames - 8] - part.envelopes[:, b : b + n_frames - 8]).mean()
        for a in range(4)
        for b in range(8)
    ]
    assert min(apart) < 0.5  # the same sound, within a few frames
    whole = spectra(waveform).long_spectra
    n_parts = len(whole) if share == 1 else math.ceil(share * len(whole)) - 1
    assert n_parts <= len(part.long_spectra)  # no more windows than the part itself has
    assert len(found.long_spectra) == n_parts
    first = round(place * (len(whole) - n_parts))
    assert np.array_equal(found.long_spectra, whole[first : first + len(found.long_spectra)])


def test_the_shortest_part_is_one_frame_and_one_spectrum():
    details = ClipDetails(envelopes=np.zeros((12, 5), np.float32), long_spectra=np.zeros((1, 33), np.float32))
    found = details.shortened(0.01, place=0.7)
    assert (found.envelopes.shape, found.long_spectra.shape) == ((12, 1), (1, 33))


def test_what_reaches_above_a_frequency_is_not_known():
    spectra = ClipSpectra(SETTINGS)
    details = spectra(noise())
    before = details.envelopes.copy()
    found = spectra.known_below(details, 3_000.0)
    known = spectra.envelopes.group_hz[:, 1] <= 3_000.0
    assert 0 < known.sum() < 12
    assert np.array_equal(found.envelopes[known], details.envelopes[known])
    assert np.isnan(found.envelopes[~known]).all()
    n_known = 1 + int(3_000.0 / spectra.long_spectrum.bin_hz)
    assert np.array_equal(found.long_spectra[:, :n_known], details.long_spectra[:, :n_known])
    assert np.isnan(found.long_spectra[:, n_known:]).all()
    assert np.array_equal(details.envelopes, before)

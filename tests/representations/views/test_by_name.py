"""Every further view is of the size that it says, whatever the clip and the settings."""

import numpy as np
import pytest

from soundness.audio.log_mel import Spectrograms
from soundness.detectors.front_end import FrontEnd
from soundness.errors import SettingsError
from soundness.representations.statistics import PooledLogMel
from soundness.representations.views.by_name import VIEWS, detailed_views
from soundness.representations.views.modulation import ModulationView, modulation_features
from soundness.representations.views.tones import ToneView, tone_features
from soundness.settings.loading import load_settings

BANDS = {"mean": np.zeros(128, np.float32), "deviation": np.ones(128, np.float32)}


def settings_with(*views, changes=()):
    return load_settings(overrides=[f"views={list(views)}".replace("'", '"'), "scorer.peaks=[]", *changes])


def noise(seconds, rate=16_000):
    return np.random.default_rng(0).normal(0, 0.1, (1, round(rate * seconds))).astype(np.float32)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("seconds", [0.064, 0.5, 3.0])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_view_has_finite_features_of_one_size_and_a_gain_changes_none(name, seconds, rate):
    settings = settings_with(name, changes=[f"audio.sample_rate={rate}"])
    view = detailed_views(settings)[name]
    front_end, waveform = FrontEnd(settings), noise(seconds, rate)
    found = view.features(front_end.spectrograms(waveform))
    assert found.shape == (view.size,)
    assert np.isfinite(found).all()
    assert len(np.unique(found)) > view.size / 5
    np.testing.assert_allclose(view.features(front_end.spectrograms(0.01 * waveform)), found, atol=0.05)


def test_views_follow_those_of_the_poolings_in_their_order():
    clip = FrontEnd(settings_with("tones", "modulation")).spectrograms(noise(2.0))
    for names in (("modulation", "tones"), ("tones", "modulation"), ("tones",), ()):
        settings = settings_with(*names)
        sizes = {"modulation": 640, "tones": 4_089}
        found = PooledLogMel.from_arrays(BANDS, settings)
        assert found.view_sizes == (128, 128, *(sizes[name] for name in names))
        vectors = found.vectors(clip)
        assert (vectors.shape, vectors.dtype) == ((1, sum(found.view_sizes)), np.float32)
        parts = dict(zip(names, np.split(vectors[0], np.cumsum(found.view_sizes)[:-1])[2:], strict=True))
        if "modulation" in names:
            np.testing.assert_allclose(parts["modulation"], modulation_features(clip.details.envelopes), rtol=1e-6)
        if "tones" in names:
            expected = tone_features(clip.details.long_spectra, slice(8, 4_097))
            np.testing.assert_allclose(parts["tones"], expected, atol=1e-5)


def test_views_of_features_are_named_in_hertz():
    modulation, tones = ModulationView(settings_with()), ToneView(settings_with())
    assert modulation.rate(127) == 125.0
    assert (tones.hz(0), tones.hz(tones.size - 1)) == (15.625, 8_000.0)


def test_spectrograms_without_details_are_refused_where_they_are_needed():
    log_mel = np.zeros((128, 5), np.float32)
    for name in VIEWS:
        view = detailed_views(settings_with(name))[name]
        with pytest.raises(SettingsError, match=r"^spectrograms without details, which the views of this system are"):
            view.features(Spectrograms(log_mel, log_mel))

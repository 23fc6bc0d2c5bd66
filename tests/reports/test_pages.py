"""Pages contain their pictures and sounds."""

import base64
import io

import matplotlib.image
import numpy as np
import pytest
import soundfile
from jinja2 import UndefinedError
from matplotlib import colormaps

from soundness.reports.pages import audio_uri, map_uri, player_gain, render_page, shrink


def content(uri, media_type):
    start = f"data:{media_type};base64,"
    assert uri.startswith(start)
    return base64.b64decode(uri.removeprefix(start))


def test_a_map_is_a_picture_with_the_lowest_band_at_the_bottom():
    picture = matplotlib.image.imread(io.BytesIO(content(map_uri(np.eye(2, 3), low=0.0, high=1.0), "image/png")))
    dark, bright = (np.array(colormaps["magma"](value))[:3] for value in (0.0, 1.0))
    assert picture.shape[:2] == (2, 3)
    for pixel, expected in (((1, 0), bright), ((0, 1), bright), ((0, 0), dark), ((1, 2), dark)):
        assert picture[pixel][:3] == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize("colours", ["magma", "RdBu_r"])
def test_colours_are_matplotlibs(colours):
    shares = np.linspace(0, 1, 64)
    uri = map_uri(shares[None], low=0.0, high=1.0, colours=colours)
    picture = matplotlib.image.imread(io.BytesIO(content(uri, "image/png")))
    np.testing.assert_allclose(picture[0, :, :3], colormaps[colours](shares)[:, :3], atol=0.003)


@pytest.mark.parametrize("rate", [16_000, 44_100, 20_000])
def test_a_sound_is_as_long_and_as_high_as_it_was(rate):
    time = np.arange(2 * rate) / rate
    uri = audio_uri((0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32), sample_rate=rate)
    read, read_rate = soundfile.read(io.BytesIO(content(uri, "audio/mpeg")))
    assert read_rate == 16_000
    assert len(read) / read_rate == pytest.approx(2.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(read[8000:24000]))
    assert spectrum.argmax() == 1000
    assert len(uri) < 2 * 4000 * 4 / 3 * 1.5


def test_a_page_without_its_values_is_an_error():
    with pytest.raises(UndefinedError):
        render_page("report.html")


@pytest.mark.parametrize(("n_columns", "n_left"), [(5, 5), (10, 5), (12, 4), (1, 1)])
def test_a_map_is_shrunk_to_means_of_neighbours(n_columns, n_left):
    values = np.random.default_rng(0).normal(size=(3, n_columns))
    shrunk = shrink(values, 5)
    assert shrunk.shape == (3, n_left)
    step = -(-n_columns // 5)
    for index in range(n_left):
        np.testing.assert_allclose(shrunk[:, index], values[:, index * step : (index + 1) * step].mean(axis=1))
    np.testing.assert_allclose(shrink(values.T, 5, axis=0), shrunk.T)


@pytest.mark.parametrize("scale", [0.0, 1e-45, 1e-42, 1e-38, 1e-12, 1.0, 1e30, np.inf, np.nan])
def test_a_player_is_made_of_any_samples(scale):
    with np.errstate(all="ignore"):
        waveform = (scale * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
        played = waveform * player_gain(float(np.nanmax(np.abs(waveform), initial=0.0)))
    assert audio_uri(played, sample_rate=16_000).startswith("data:audio/mpeg;base64,")

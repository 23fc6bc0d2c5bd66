"""The front end picks a channel, separates it where the system does, and refuses what a spectrum cannot hold."""

import numpy as np
import pytest

from soundness.audio.log_mel import LogMel
from soundness.detectors.front_end import FrontEnd, pair
from soundness.errors import AudioError

RATE = 16_000


def noise(n_channels=1, *, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal((n_channels, 8_000))).astype(np.float32)


@pytest.mark.parametrize("channel", [0, 1])
def test_the_channel_of_the_settings_is_used(small, channel):
    settings, waveform = small("log-mel-knn", f"audio.channel={channel}"), noise(2)
    front_end = FrontEnd(settings)
    assert np.array_equal(front_end.sound(waveform, "original"), waveform[channel][None])
    found = front_end.spectrograms(waveform)
    assert np.array_equal(found.input, LogMel(settings.log_mel, sample_rate=RATE)(waveform[channel]))
    assert found.reference is found.input


def test_an_offset_changes_nothing_where_it_is_removed(small):
    waveform = noise()
    offset = (waveform + np.float32(0.25)).astype(np.float32)
    removing, keeping = FrontEnd(small("log-mel-knn", "audio.is_dc_removed=true")), FrontEnd(small("log-mel-knn"))
    with_offset, without = (removing.spectrograms(one).input for one in (offset, waveform))
    np.testing.assert_allclose(with_offset, without, atol=0.01)
    assert np.abs(keeping.spectrograms(offset).input - keeping.spectrograms(waveform).input).max() > 10


def test_a_waveform_without_the_channel_is_refused(small):
    front_end = FrontEnd(small("log-mel-knn", "audio.channel=2"))
    with pytest.raises(AudioError, match=r"^2 channel\(s\); channel 2 \(counted from 0\) is needed$"):
        front_end.spectrograms(noise(2))


def test_what_is_too_loud_is_refused(small):
    with pytest.raises(AudioError, match=r"^too loud: its spectrum overflows$"):
        FrontEnd(small("log-mel-knn")).spectrograms(np.full((1, 8_000), 3e38, np.float32))


@pytest.mark.parametrize(
    ("mode", "sources"),
    [
        ("denoise", ("separated",)),
        ("target=separated", ("original", "separated")),
        ("augment", ("original", "separated")),
    ],
)
def test_a_system_with_a_separator_uses_its_sounds(small, separator, mode, sources):
    front_end, waveform = FrontEnd(small("conditional", f"separation={mode}"), separator), noise()
    assert front_end.sources == sources
    assert np.array_equal(front_end.sound(waveform, "separated"), separator.separate(waveform)[0])
    log_mels = {source: front_end.log_mel(front_end.sound(waveform, source)) for source in sources}
    found = front_end.spectrograms(waveform)
    assert np.array_equal(found.input, log_mels[sources[0]])
    assert np.array_equal(found.reference, log_mels["separated"])


def test_without_a_separator_there_is_one_sound(small):
    assert FrontEnd(small("conditional", "separation=denoise")).sources == ("original",)


def test_input_and_reference_are_one_where_there_is_one_log_mel():
    log_mel, other = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    for log_mels, expected in (
        ({"original": log_mel}, (log_mel, log_mel)),
        ({"separated": other}, (other, other)),
        ({"original": log_mel, "separated": other}, (log_mel, other)),
    ):
        found = pair(log_mels)
        assert (found.input is expected[0], found.reference is expected[1]) == (True, True)

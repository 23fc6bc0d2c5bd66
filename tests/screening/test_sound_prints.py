import io

import numpy as np
import pytest
import soundfile as sf
import soxr

from soundness.audio.log_mel import LogMel
from soundness.screening.sound_prints import find_shared, pack_prints, sound_print, unpack_prints
from soundness.settings.system import LogMelSettings

RATE = 16_000


def log_mel(waveform):
    return LogMel(LogMelSettings(), sample_rate=RATE)(waveform.astype(np.float32))


def hum(seed, *, seconds=6.0):
    """Machine whose tones and cycles are the same in each recording, with noise of its own."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    cycle = 1.0 + 0.8 * np.sin(2 * np.pi * 1.3 * t)
    return 0.05 * (np.sin(2 * np.pi * 50 * t) + np.sin(2 * np.pi * 150 * t) + 0.3 * cycle * rng.standard_normal(len(t)))


def coded(waveform, kind):
    file = io.BytesIO()
    sf.write(file, waveform, RATE, format=kind)
    file.seek(0)
    return sf.read(file, dtype="float32")[0]


CHANGES = {
    "as it is": lambda sound: sound,
    "quieter, in 16 bits": lambda sound: np.round(sound * 0.1 * 32768) / 32768,
    "MP3": lambda sound: coded(sound, "MP3"),
    "Ogg": lambda sound: coded(sound, "OGG"),
    "resampled": lambda sound: soxr.resample(soxr.resample(sound, RATE, 44_100), 44_100, RATE),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("offset", [0, 20_000, 48_256])  # samples; the last lies half a hop beside a frame
def test_shared_sound_is_found_at_any_offset(change, offset):
    sounds = [hum(seed) for seed in range(4)]
    prints = [sound_print(log_mel(sound)) for sound in (*sounds, CHANGES[change](sounds[2][offset:]))]
    (match,) = find_shared(prints)
    assert (match.first, match.second) == (2, 4)
    assert match.lag == pytest.approx(offset / 512, abs=3)
    assert match.n_frames == pytest.approx((len(sounds[2]) - offset) / 512, abs=4)


def test_recordings_of_a_machine_with_a_cycle_share_nothing():
    assert find_shared([sound_print(log_mel(hum(seed))) for seed in range(30)]) == []


def test_silence_is_shared_with_nothing():
    silent = [sound_print(log_mel(np.zeros(4 * RATE))) for _ in range(3)]
    assert not any(own.any() for own in silent)
    assert find_shared(silent) == []


def test_clips_are_compared_with_others():
    sounds = [hum(seed) for seed in range(3)]
    known, new = ([sound_print(log_mel(sound)) for sound in some] for some in (sounds, [hum(9), sounds[1]]))
    (match,) = find_shared(new, known)
    assert (match.first, match.second, match.lag) == (1, 1, 0)


def test_clips_of_very_different_length_are_compared():
    long = hum(1, seconds=60.0)
    prints = [sound_print(log_mel(sound)) for sound in (long, long[40 * RATE : 44 * RATE], hum(2, seconds=4.0))]
    (match,) = find_shared(prints)
    assert (match.first, match.second) == (0, 1)
    assert match.lag == pytest.approx(40 * RATE / 512, abs=2)


def test_packed_prints_are_the_same():
    prints = [sound_print(log_mel(sound)) for sound in (hum(1), hum(2, seconds=3.0))]
    signs, is_there = pack_prints(prints)
    back = unpack_prints(signs, is_there, n_bands=128)
    np.testing.assert_array_equal(back[0], prints[0])
    np.testing.assert_array_equal(back[1], prints[1])
    assert signs.nbytes + is_there.nbytes < 2 * 500


def test_a_print_of_few_bands_is_made_too():
    assert sound_print(np.random.default_rng(0).standard_normal((5, 40))).shape == (5, 40)

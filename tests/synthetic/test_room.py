"""Path from a machine to the microphone: a room and the microphone of a domain."""

import numpy as np
import pytest

from soundness.synthetic.room import draw_room, impulse_response, record
from soundness.synthetic.signals import SAMPLE_RATE, generator, rms


def test_the_response_of_a_room_has_unit_energy_and_begins_with_the_direct_sound():
    room = draw_room(generator(1))
    first, second = (impulse_response(room, generator(seed)) for seed in (2, 3))
    assert [np.sum(response**2) for response in (first, second)] == pytest.approx([1.0, 1.0])
    assert np.argmax(np.abs(first)) == 0
    assert not np.array_equal(first, second)  # reflections vary from clip to clip
    assert np.corrcoef(first, second)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("domain", "hz", "level_db"), [("source", 1000.0, 0.0), ("source", 60.0, -3.0), ("target", 5500.0, -4.0)]
)
def test_a_microphone_has_the_response_of_its_domain(domain, hz, level_db):
    tone = np.sin(2.0 * np.pi * hz * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE)
    gain = rms(record(tone, domain, room=None)) / rms(tone)
    assert 20.0 * np.log10(gain) == pytest.approx(level_db, abs=0.5)


def test_a_recording_in_a_room_is_the_convolution_with_its_response():
    waveform = generator(4).standard_normal(SAMPLE_RATE)
    response = np.zeros(100)
    response[7] = 1.0
    late, direct = record(waveform, "source", room=response), record(waveform, "source", room=None)
    assert np.allclose(late[1007:-1000], direct[1000:-1007], atol=1e-2)

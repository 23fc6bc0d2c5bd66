"""FLAC is read to the end of its last frame, whatever its header states."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundness.audio.reading import read_blocks, read_info
from soundness.errors import UnreadableError

RATE = 16_000
NOISE = np.random.default_rng(0).integers(-9000, 9000, 3 * RATE + 7).astype(np.int16)
SOUNDS = {
    "noise": NOISE,
    "silence": np.zeros(2 * RATE, np.int16),
    "eight channels": np.tile(NOISE[:, None], (1, 8)),
    "shorter than a block": NOISE[:100],
}


def flac(path: Path, sound: np.ndarray, n_stated: int, *, rate: int = RATE) -> Path:
    """A FLAC file that states any number of samples."""
    soundfile.write(path, sound, rate)
    content = bytearray(path.read_bytes())
    content[21] = content[21] & 0xF0 | n_stated >> 32
    content[22:26] = (n_stated & 0xFFFFFFFF).to_bytes(4)
    path.write_bytes(content)
    return path


def samples(path: Path) -> np.ndarray:
    return (np.concatenate(list(read_blocks(path))) * 32768).astype(np.int16)


@pytest.mark.parametrize("sound", SOUNDS.values(), ids=SOUNDS)
@pytest.mark.parametrize("rate", [RATE, 44_100, 12_345])
def test_a_file_of_unknown_length_is_read_to_its_end(tmp_path: Path, sound: np.ndarray, rate: int) -> None:
    path = flac(tmp_path / "a.flac", sound, 0, rate=rate)
    assert np.array_equal(samples(path), sound.reshape(len(sound), -1))
    assert read_info(path).n_samples == len(sound)
    assert read_info(path).note == ""
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    assert read_info(path).n_samples == len(sound)


def test_sound_behind_what_the_header_states_is_read_and_noted(tmp_path: Path) -> None:
    path = flac(tmp_path / "a.flac", NOISE, RATE)
    assert np.array_equal(samples(path)[:, 0], NOISE)
    assert read_info(path).note == "its header says 1.0 s; 3.0 s of sound are there, all of it is read"


@pytest.mark.parametrize("n_stated", [0, 1000, len(NOISE), 2 * len(NOISE), 2**36 - 1])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99999])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, n_stated: int, share: float) -> None:
    path = flac(tmp_path / "a.flac", NOISE, n_stated)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableError, match="truncated"):
        samples(path)


def test_a_file_that_states_more_than_it_holds_is_refused_by_its_header_alone(tmp_path: Path) -> None:
    path = flac(tmp_path / "a.flac", NOISE, 2 * len(NOISE))
    with pytest.raises(UnreadableError, match="truncated; its header says 96,014 samples, it holds 48,007"):
        read_info(path)

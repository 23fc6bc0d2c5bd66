"""Ogg is read to its end, one stream behind the other, and refused where the end is missing."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundness.audio.reading import read_blocks, read_info
from soundness.errors import AudioError, UnreadableError

RATE = 16_000
SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, 3 * RATE)


def ogg(path: Path, subtype: str, sound: np.ndarray = SOUND) -> bytes:
    soundfile.write(path, sound, RATE, format="OGG", subtype=subtype)
    return path.read_bytes()


def samples(path: Path) -> np.ndarray:
    return np.concatenate(list(read_blocks(path)))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_streams_behind_each_other_are_read_as_one_recording(tmp_path: Path, subtype: str) -> None:
    first, second = ogg(tmp_path / "1.ogg", subtype), ogg(tmp_path / "2.ogg", subtype, -0.5 * SOUND[:RATE])
    (tmp_path / "a.ogg").write_bytes(first + second + first)
    parts = [samples(tmp_path / f"{name}.ogg") for name in (1, 2, 1)]
    assert np.array_equal(samples(tmp_path / "a.ogg"), np.concatenate(parts))
    assert read_info(tmp_path / "a.ogg").n_samples == 7 * RATE


def test_streams_of_different_form_are_refused(tmp_path: Path) -> None:
    mono, stereo = (ogg(tmp_path / "a.ogg", "VORBIS", sound) for sound in (SOUND, np.stack([SOUND, SOUND], axis=1)))
    (tmp_path / "a.ogg").write_bytes(mono + stereo)
    with pytest.raises(AudioError, match=r"parts of different form.*: 1 channel\(s\) at 16000 Hz, 2 channel"):
        read_info(tmp_path / "a.ogg")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9999])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, subtype: str, share: float) -> None:
    content = ogg(tmp_path / "a.ogg", subtype)
    (tmp_path / "a.ogg").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableError, match="truncated; its last page"):
        read_info(tmp_path / "a.ogg")


def test_zeros_behind_the_last_page_are_left_out(tmp_path: Path) -> None:
    content = ogg(tmp_path / "a.ogg", "VORBIS")
    whole = samples(tmp_path / "a.ogg")
    (tmp_path / "a.ogg").write_bytes(content + bytes(500))
    assert np.array_equal(samples(tmp_path / "a.ogg"), whole)

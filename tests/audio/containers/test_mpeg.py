"""MP3 is read to its last frame, whether a header counts the frames or not."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundness.audio.reading import read_blocks, read_info
from soundness.errors import UnreadableError

SECONDS = 6
DELAY = 529 + 1152  # of encoder and decoder; a header would say how much to leave out


def sound(rate: int) -> np.ndarray:
    """Noise that is loud at first, so that the bit rate of the first frames is not that of the rest."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, SECONDS * rate)
    return noise * np.where(np.arange(len(noise)) < rate, 1, 0.003)


def mp3(path: Path, rate: int, mode: str = "VARIABLE") -> tuple[bytes, bytes]:
    """Its frame with the header for the whole, and its other frames."""
    soundfile.write(path, sound(rate), rate, bitrate_mode=mode, compression_level=0.5)
    content = path.read_bytes()
    second = content.index(content[:2], 4)
    while content[second + 2] & 0x0C != content[2] & 0x0C:
        second = content.index(content[:2], second + 1)
    assert b"Xing" in content[:second] or b"Info" in content[:second]
    return content[:second], content[second:]


def samples(path: Path) -> np.ndarray:
    return np.concatenate(list(read_blocks(path)))[:, 0]


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("tag", ["none", "ID3", "APE", "text"])
def test_a_file_without_a_header_for_the_whole_is_read_to_its_end(
    tmp_path: Path, mode: str, rate: int, tag: str
) -> None:
    path = tmp_path / "a.mp3"
    _, frames = mp3(path, rate, mode)
    with_header = samples(path)
    before = b"ID3\4\0\0\0\0\7\x68" + bytes(1000) if tag == "ID3" else b""
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 132 - 32, 1, 0) + bytes(8) + bytes(100)
    behind = {"none": b"", "ID3": b"TAG" + bytes(125), "APE": ape, "text": b"LYRICSBEGIN" + bytes(50)}[tag]
    path.write_bytes(before + frames + behind)
    found = samples(path)
    assert read_info(path).n_samples == len(found)
    assert read_info(path).note == ""
    assert 0 <= len(found) - SECONDS * rate <= 3 * 1152
    shift = int(np.argmax(np.correlate(found[:8000], with_header[2000:6000])))
    assert 2000 + 400 <= shift <= 2000 + DELAY
    overlap = found[shift : shift + len(with_header) - 2000][: SECONDS * rate - 4000]
    np.testing.assert_allclose(overlap, with_header[2000 : 2000 + len(overlap)], atol=1e-3)


def test_two_files_in_one_are_read_both_and_the_header_of_the_first_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    header, frames = mp3(path, 16_000)
    path.write_bytes(2 * (header + frames))
    info = read_info(path)
    assert info.seconds == pytest.approx(2 * SECONDS, abs=0.3)
    assert info.n_samples == len(samples(path))
    assert info.note == "its header says 6.1 s; 12.2 s of sound are there, all of it is read"


@pytest.mark.parametrize("has_header", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9999])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, has_header: bool, share: float) -> None:
    path = tmp_path / "a.mp3"
    header, frames = mp3(path, 16_000)
    content = header + frames if has_header else frames
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableError, match="truncated"):
        read_info(path)


def test_a_file_that_is_damaged_in_its_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    _, frames = mp3(path, 16_000)
    path.write_bytes(frames[:5000] + np.random.default_rng(0).bytes(3000) + frames[5000:])
    with pytest.raises(UnreadableError, match=r"damaged; from byte [\d,]+ on it holds no frames"):
        read_info(path)


def test_the_end_of_a_frame_before_the_first_and_zeros_behind_the_last_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    _, frames = mp3(path, 16_000)
    path.write_bytes(frames)
    n_samples = read_info(path).n_samples
    path.write_bytes(frames[-20:] + frames + bytes(3000))
    assert read_info(path).n_samples == n_samples == len(samples(path))


def test_mp3_in_wav_is_read_to_its_end(tmp_path: Path) -> None:
    rate = 44_100
    _, frames = mp3(tmp_path / "a.mp3", rate)
    (tmp_path / "a.mp3").write_bytes(frames)
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, rate, 16_000, 1, 0, 12, 1, 2, 417, 1, 1393)
    head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(frames))
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(frames)) + head + frames)
    assert np.array_equal(samples(tmp_path / "a.wav"), samples(tmp_path / "a.mp3"))
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-5000])
    with pytest.raises(UnreadableError, match="truncated"):
        read_info(tmp_path / "a.wav")


def test_frames_of_free_format_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, sound(48_000), 48_000, bitrate_mode="CONSTANT", compression_level=0.5)
    content = path.read_bytes()
    length = content.index(content[:3], 3)
    frames = bytearray(content[length:])
    path.write_bytes(frames)
    n_samples = read_info(path).n_samples
    for at in range(0, len(frames), length):
        frames[at + 2] &= 0x0F
    path.write_bytes(frames)
    assert read_info(path).n_samples == n_samples == len(samples(path))

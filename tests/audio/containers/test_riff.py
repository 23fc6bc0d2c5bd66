"""WAV and its relatives: all sound that is there is read, whatever size the header states."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundness.audio.reading import read_blocks, read_info, read_waveform
from soundness.errors import AudioError, UnreadableError
from soundness.screening.inspection import inspect

RATE = 16_000
SOUND = np.random.default_rng(0).integers(-9000, 9000, 4 * RATE).astype("<i2")  # four seconds
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"recorder 1.00\0"
FORM = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)


def riff(path: Path, size: int, sound: bytes = SOUND.tobytes(), *, behind: bytes = b"", riff_size: int = 0) -> Path:
    """A WAV file that states any size of its sound."""
    head = b"RIFF" + struct.pack("<I", riff_size) + b"WAVEfmt " + struct.pack("<I", 16) + FORM
    path.write_bytes(head + b"data" + struct.pack("<I", size) + sound + behind)
    return path


def samples(path: Path) -> np.ndarray:
    return (read_waveform(path, sample_rate=RATE, fmax=8000)[0] * 32768).astype("<i2")


@pytest.mark.parametrize("size", [0, 44, 2, 2 * RATE, 2 * RATE + 1, 8 * RATE - 16])
@pytest.mark.parametrize("riff_size", [0, 8, 36, 2 * RATE + 36])
def test_sound_behind_a_size_that_is_too_small_is_read_and_noted(tmp_path: Path, size: int, riff_size: int) -> None:
    path = riff(tmp_path / "a.wav", size, riff_size=riff_size)
    assert np.array_equal(samples(path), SOUND)
    info = read_info(path)
    assert info.n_samples == len(SOUND) == sum(map(len, read_blocks(path)))
    stated = size / 2 / RATE
    assert info.note == f"its header says {stated:.1f} s; 4.0 s of sound are there, all of it is read"


def test_inspect_says_once_where_a_header_is_wrong(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        riff(tmp_path / f"{name}.wav", 2 * RATE)
    notes = [problem.message for problem in inspect(tmp_path).problems if "header" in problem.message]
    assert len(notes) == 1
    assert notes[0].startswith("its header says 1.0 s; 4.0 s of sound are there, all of it is read (and 2 more")


BEHIND = {
    "a chunk": LIST,
    "two chunks": LIST + b"abcd" + struct.pack("<I", 3) + b"xyz\0",
    "a chunk of an unknown name": b"zzzz" + struct.pack("<I", 5) + b"hello\0",
    "a chunk cut short": LIST[:20],
    "a tag": b"TAG" + bytes(125),
    "an ID3 chunk with a picture": b"id3 " + struct.pack("<I", 2000) + np.random.default_rng(1).bytes(2000),
    "zeros": bytes(5000),
    "one byte": b"\0",
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
def test_what_is_no_sound_behind_the_sound_is_left_out_in_silence(tmp_path: Path, behind: bytes) -> None:
    path = riff(tmp_path / "a.wav", len(SOUND) * 2, behind=behind)
    assert np.array_equal(samples(path), SOUND)
    assert read_info(path).note == ""


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_a_chunk_behind_sound_of_an_uneven_size_is_no_sound_padded_or_not(tmp_path: Path, padding: bytes) -> None:
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE, 1, 8)
    head = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", 4001)
    (tmp_path / "a.wav").write_bytes(head + bytes(range(1, 250)) * 16 + bytes(17) + padding + LIST)
    assert read_info(tmp_path / "a.wav").n_samples == 4001
    assert read_info(tmp_path / "a.wav").note == ""


@pytest.mark.parametrize("size", [8 * RATE + 2, 0x7FFEFFFF, 0x90000000])
def test_less_sound_than_stated_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(UnreadableError, match=f"truncated; its header says {size:,} bytes of sound, it holds 128,000"):
        read_info(riff(tmp_path / "a.wav", size))


def test_two_recordings_in_one_file_are_refused(tmp_path: Path) -> None:
    path = riff(tmp_path / "a.wav", len(SOUND) * 2)
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(AudioError, match="two recordings in one file"):
        read_info(path)


def sparse(path: Path, head: bytes, n_bytes: int) -> Path:
    """A file of some size, which takes no room on the disk; its sound is not zero at its beginning and end."""
    with path.open("wb") as file:
        file.write(head)
        file.write(SOUND.tobytes())
        file.seek(n_bytes - 2)
        file.write(b"\1\1")
        file.truncate(n_bytes)
    return path


@pytest.mark.parametrize("gigabytes", [2.5, 3.9, 4.5, 9])
@pytest.mark.parametrize("stated", ["modulo", 0, 0xFFFFFFFF, 0x7FFFF000])
def test_more_than_two_and_four_gigabytes_are_there(tmp_path: Path, gigabytes: float, stated: str | int) -> None:
    n_bytes = round(gigabytes * 2**30)
    size = (n_bytes - 44) % 2**32 if stated == "modulo" else stated
    head = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 16) + FORM + b"data" + struct.pack("<I", size)
    path = sparse(tmp_path / "a.wav", head, n_bytes)
    assert read_info(path).n_samples == (n_bytes - 44) // 2
    first = next(read_blocks(path, block_samples=len(SOUND)))[:, 0]
    assert np.array_equal((first * 32768).astype("<i2"), SOUND)


def test_a_recording_of_more_than_four_gigabytes_in_the_other_byte_order_is_refused(tmp_path: Path) -> None:
    form = struct.pack(">HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    head = b"RIFX\0\0\0\0WAVEfmt " + struct.pack(">I", 16) + form + b"data" + bytes(4)
    with pytest.raises(AudioError, match=r"bytes of sound, more than this format can state; convert it to RF64"):
        read_info(sparse(tmp_path / "a.wav", head, 5 * 2**30))


def test_wav_of_the_other_byte_order_is_read_whole(tmp_path: Path) -> None:
    form = struct.pack(">HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    head = b"RIFX\0\0\0\0WAVEfmt " + struct.pack(">I", 16) + form + b"data" + struct.pack(">I", 1000)
    (tmp_path / "a.wav").write_bytes(head + SOUND.astype(">i2").tobytes())
    assert np.array_equal(samples(tmp_path / "a.wav"), SOUND)


def rf64(path: Path, magic: bytes, size: int, *, sound: bytes = SOUND.tobytes()) -> Path:
    """An RF64 or BW64 file that states any size of its sound."""
    sizes = struct.pack("<QQQI", size + 72, size, size // 2, 0)
    head = magic + b"\xff\xff\xff\xffWAVEds64" + struct.pack("<I", 28) + sizes + b"fmt " + struct.pack("<I", 16) + FORM
    path.write_bytes(head + b"data\xff\xff\xff\xff" + sound)
    return path


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
@pytest.mark.parametrize("size", [len(SOUND) * 2, 0, 2 * RATE, 2**63])
def test_large_wav_is_read_to_its_end(tmp_path: Path, magic: bytes, size: int) -> None:
    path = rf64(tmp_path / "a.wav", magic, size)
    assert np.array_equal(samples(path), SOUND)
    assert bool(read_info(path).note) == (size in (0, 2 * RATE))


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_large_wav_that_was_cut_is_refused(tmp_path: Path, magic: bytes) -> None:
    with pytest.raises(UnreadableError, match=r"truncated; its header says 5,000,000,000 bytes of sound"):
        read_info(rf64(tmp_path / "a.wav", magic, 5_000_000_000))


@pytest.mark.parametrize("stated", [0, 24, 24 + 2 * RATE, 2**63 - 1, -1])
def test_wave64_is_read_to_its_end(tmp_path: Path, stated: int) -> None:
    path = tmp_path / "a.w64"
    soundfile.write(path, SOUND, RATE)
    content = path.read_bytes()
    at = content.index(b"data")
    path.write_bytes(content[: at + 16] + struct.pack("<q", stated) + content[at + 24 :])
    assert np.array_equal(samples(path), SOUND)


def test_wave64_that_was_cut_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.w64", SOUND, RATE)
    content = (tmp_path / "a.w64").read_bytes()
    (tmp_path / "a.w64").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableError, match=r"truncated; its header says 128,000 bytes of sound"):
        read_info(tmp_path / "a.w64")


@pytest.mark.parametrize("subtype", ["ULAW", "IMA_ADPCM", "FLOAT", "PCM_24"])
def test_other_codings_are_led_to_their_end_too(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND, RATE, subtype=subtype)
    whole = read_waveform(path, sample_rate=RATE, fmax=8000)
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + struct.pack("<I", 1024) + content[at + 4 :])
    assert np.array_equal(read_waveform(path, sample_rate=RATE, fmax=8000), whole)

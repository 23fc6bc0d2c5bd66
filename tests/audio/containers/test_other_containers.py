"""AIFF, Core Audio, 8SVX, AU, NIST, AVR and Creative Voice: all that is there is read, and a cut is found."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundness.audio.reading import read_blocks, read_info
from soundness.errors import AudioError, UnreadableError

RATE = 16_000
SOUND = np.random.default_rng(0).integers(-9000, 9000, 4 * RATE).astype(np.int16)  # four seconds
FORMATS = {
    "a.aiff": {},
    "little.aiff": {"endian": "LITTLE"},
    "coded.aiff": {"subtype": "ULAW"},
    "a.caf": {},
    "coded.caf": {"subtype": "ALAC_16"},
    "a.au": {},
    "little.au": {"endian": "LITTLE"},
    "a.svx": {"format": "SVX"},
    "a.sph": {"format": "NIST"},
    "a.avr": {},
    "a.voc": {},
}
SIZES = {  # format: what stands before the size, and how it is written
    "a.aiff": (b"SSND", ">I"),
    "little.aiff": (b"SSND", ">I"),
    "coded.aiff": (b"SSND", ">I"),
    "a.svx": (b"BODY", ">I"),
    "a.caf": (b"data", ">q"),
    "a.au": (b".snd\0\0\0\x18", ">I"),
    "little.au": (b"dns.\x18\0\0\0", "<I"),
}


def written(path: Path) -> bytes:
    soundfile.write(path, SOUND, RATE, **FORMATS[path.name])
    return path.read_bytes()


def samples(path: Path) -> np.ndarray:
    return np.concatenate(list(read_blocks(path)))[:, 0]


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_is_read_without_a_note(tmp_path: Path, name: str) -> None:
    written(tmp_path / name)
    assert len(samples(tmp_path / name)) == len(SOUND)
    assert read_info(tmp_path / name).note == ""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.6, 0.99])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, name: str, share: float) -> None:
    content = written(tmp_path / name)
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableError, match="truncated"):
        read_info(tmp_path / name)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("size", [0, 44, 2 * RATE])
def test_sound_behind_a_size_that_is_too_small_is_read_and_noted(tmp_path: Path, name: str, size: int) -> None:
    content = written(tmp_path / name)
    whole = samples(tmp_path / name)
    before, layout = SIZES[name]
    at = content.index(before) + len(before)
    (tmp_path / name).write_bytes(content[:at] + struct.pack(layout, size) + content[at + struct.calcsize(layout) :])
    assert np.array_equal(samples(tmp_path / name), whole)
    assert read_info(tmp_path / name).n_samples == len(SOUND)
    assert "4.0 s of sound are there, all of it is read" in read_info(tmp_path / name).note


@pytest.mark.parametrize(
    ("name", "size"), [("a.aiff", 0xFFFFFFFF), ("a.aiff", 0x7F000008), ("a.caf", -1), ("a.au", 0xFFFFFFFF)]
)
def test_a_stream_is_read_to_its_end_without_a_note(tmp_path: Path, name: str, size: int) -> None:
    content = written(tmp_path / name)
    before, layout = SIZES[name]
    at = content.index(before) + len(before)
    (tmp_path / name).write_bytes(content[:at] + struct.pack(layout, size) + content[at + struct.calcsize(layout) :])
    assert np.array_equal(samples(tmp_path / name) * 32768, SOUND)
    assert read_info(tmp_path / name).note == ""


def test_a_text_chunk_behind_the_sound_is_no_sound(tmp_path: Path) -> None:
    content = written(tmp_path / "a.aiff")
    (tmp_path / "a.aiff").write_bytes(content + b"ANNO" + struct.pack(">I", 6) + b"pump 3")
    assert np.array_equal(samples(tmp_path / "a.aiff") * 32768, SOUND)
    assert read_info(tmp_path / "a.aiff").note == ""


def test_several_blocks_of_sound_in_a_creative_voice_file_are_refused(tmp_path: Path) -> None:
    content = written(tmp_path / "a.voc")
    (start,) = struct.unpack("<H", content[20:22])
    (tmp_path / "a.voc").write_bytes(content[:-1] + content[start:])
    with pytest.raises(AudioError, match="several blocks of sound"):
        read_info(tmp_path / "a.voc")


def test_samples_behind_the_count_of_a_nist_file_are_read_and_noted(tmp_path: Path) -> None:
    content = written(tmp_path / "a.sph")
    (tmp_path / "a.sph").write_bytes(content.replace(b"sample_count -i 64000", b"sample_count -i 16000"))
    assert np.array_equal(samples(tmp_path / "a.sph") * 32768, SOUND)
    assert read_info(tmp_path / "a.sph").note == "its header says 1.0 s; 4.0 s of sound are there, all of it is read"


@pytest.mark.parametrize("suffix", ["au", "flac", "sph"])
def test_another_recording_behind_the_first_is_refused(tmp_path, suffix):
    sound = np.random.default_rng(0).normal(0, 0.1, 20_000)
    soundfile.write(
        path := tmp_path / f"a.{suffix}", sound, 16_000, format={"sph": "NIST"}.get(suffix), subtype="PCM_16"
    )
    assert sum(map(len, read_blocks(path))) == len(sound)
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(AudioError, match=rf"a\.{suffix}: two recordings in one file, one behind the other"):
        list(read_blocks(path))

"""Recordings of telephones, cameras and browsers are read through PyAV, or refused by name."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from soundness.audio.reading import read_blocks, read_info, read_waveform
from soundness.errors import AudioError, UnreadableError
from soundness.extras import install_command

RATE = 16_000
SINE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)).astype(np.float32)
FILES = {  # name: container, codec, and the sample format that the encoder takes
    "a.m4a": ("mp4", "aac", "fltp"),
    "lossless.m4a": ("mp4", "alac", "s16p"),
    "a.aac": ("adts", "aac", "fltp"),
    "a.wma": ("asf", "wmav2", "fltp"),
    "a.mka": ("matroska", "pcm_s16le", "s16"),
    "a.webm": ("webm", "libopus", "s16"),
    "a.mkv": ("matroska", "flac", "s16"),
    "a.oga": ("ogg", "flac", "s16"),
    "a.avi": ("avi", "pcm_s16le", "s16"),
    "float.mkv": ("matroska", "pcm_f32le", "flt"),
    "bytes.mkv": ("matroska", "pcm_u8", "u8"),
}


def encoded(path: Path, sound: np.ndarray = SINE, rate: int = RATE) -> Path:
    """A file of the kind that its name stands for."""
    container_format, codec, sample_format = FILES[path.name]
    layout = "mono" if sound.ndim == 1 else "stereo"
    rate = 48_000 if codec == "libopus" else rate
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, bit_rate=64_000)
        resampler = av.AudioResampler(
            format=sample_format, layout=layout, rate=rate, frame_size=stream.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(sound.reshape(len(sound), -1).T.copy(), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = RATE, 0
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def samples(path: Path) -> np.ndarray:
    return np.concatenate(list(read_blocks(path)))


@pytest.mark.parametrize("name", FILES)
def test_sound_is_that_of_the_file_and_as_long_as_its_header_is_reported(tmp_path: Path, name: str) -> None:
    path = encoded(tmp_path / name)
    found, info = samples(path), read_info(path)
    assert found.shape == (info.n_samples, info.n_channels) == (info.n_samples, 1)
    assert info.seconds == pytest.approx(3, abs=0.2)
    waveform = read_waveform(path, sample_rate=RATE, fmax=8000)[0]
    spectrum = np.abs(np.fft.rfft(waveform[RATE : 2 * RATE]))
    assert np.argmax(spectrum) == 440
    assert spectrum.max() / RATE * 2 == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("name", ["lossless.m4a", "a.mka", "a.mkv", "a.oga", "a.avi", "float.mkv"])
def test_lossless_sound_is_exact_in_blocks_of_any_length(tmp_path: Path, name: str) -> None:
    stereo = np.stack([SINE, -SINE[::-1]], axis=1)
    path = encoded(tmp_path / name, stereo)
    blocks = list(read_blocks(path, block_samples=7000))
    assert [len(block) for block in blocks] == [7000] * 6 + [6000]
    np.testing.assert_allclose(np.concatenate(blocks), stereo, atol=1 / 32768)


@pytest.mark.parametrize("name", [name for name in FILES if name != "a.oga"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, name: str, share: float) -> None:
    content = encoded(tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableError, match="truncated"):
        samples(tmp_path / name)


NO_MEDIA = {
    "a playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.aac\n#EXT-X-ENDLIST\n",
    "a session": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "a list of files": b"ffconcat version 1.0\nfile a.wav\n",
    "a box": b"\0\0\0\x20ftypM4A " + bytes(2000),
    "noise": np.random.default_rng(0).bytes(5000),
}


@pytest.mark.parametrize("content", NO_MEDIA.values(), ids=NO_MEDIA)
@pytest.mark.parametrize("name", ["a.m4a", "a.webm", "a.wav"])
def test_what_is_no_recording_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableError, match=f"{name}: (not audio, or damaged|damaged or truncated)"):
        read_info(tmp_path / name)
    assert capfd.readouterr().err == ""


def test_a_file_without_sound_is_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"a\.mp4: holds no sound, only pictures or data"):
        read_info(tmp_path / "a.mp4")


def test_without_pyav_a_file_that_needs_it_says_so_and_others_are_read(tmp_path: Path) -> None:
    encoded(tmp_path / "a.m4a")
    soundfile.write(tmp_path / "a.wav", SINE, RATE)
    code = (
        "import sys; sys.modules['av'] = None; from pathlib import Path; from soundness.audio.reading import read_info;"
        "from soundness.errors import AudioError\n"
        "print(read_info(Path('a.wav')).seconds)\n"
        "try: read_info(Path('a.m4a'))\nexcept AudioError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "3.0",
        f"a.m4a: read through PyAV, which is not installed: {install_command('media')}",
    ]


@pytest.mark.parametrize(("header", "n_frame"), [(b"#!AMR\n", 32), (b"#!AMR-WB\n", 61)])
def test_frames_of_a_telephone_are_followed_to_the_last(tmp_path: Path, header: bytes, n_frame: int) -> None:
    kind = 7 if n_frame == 32 else 8
    path = tmp_path / "a.amr"
    path.write_bytes(header + 50 * (bytes([kind << 3 | 4]) + bytes(n_frame - 1)))
    assert read_info(path).seconds == pytest.approx(1, abs=0.05)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UnreadableError, match="truncated; its last frame is not whole"):
        read_info(path)

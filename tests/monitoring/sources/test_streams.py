"""Streams: a server of GStreamer, one of ffmpeg, and those that misbehave."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from soundness.errors import DataError, SettingsError
from soundness.monitoring.sources.addresses import find_source, parse_address
from soundness.monitoring.sources.items import resampled
from soundness.monitoring.sources.protocol import Block, Item, Lost, SourceSettings, SourceState
from stream_servers import encoded, ffmpeg_sender, ffmpeg_server, free_port, http_server, rtsp_server, silent_server

TONE = ("-f", "lavfi", "-i", "sine=frequency=900:sample_rate=44100:duration=2")


def settings(channel: int = 0) -> SourceSettings:
    return SourceSettings(name="hall", folder=Path(), channel=channel, sample_rate=None, clip_seconds=1.0)


def source(address: str, *, channel: int = 0, timeout_seconds: float = 10.0):
    return replace(find_source(address, settings(channel)), timeout_seconds=timeout_seconds)


def items(address: str, **options) -> Iterator[Item]:
    """Items of a stream for at most a minute."""
    stop = threading.Event()
    watchdog = threading.Timer(60.0, stop.set)
    watchdog.start()
    try:
        yield from source(address, **options).items(SourceState(), stop)
    finally:
        watchdog.cancel()


def sound(found: Iterator[Item], *, seconds: float) -> tuple[np.ndarray, int]:
    """Sound of the blocks that come, and its rate."""
    blocks, rate = [], 0
    for item in found:
        if isinstance(item, Block):
            blocks.append(item.samples)
            rate = item.sample_rate
            if sum(map(len, blocks)) >= seconds * rate:
                break
    return np.concatenate(blocks), rate


def pitch(samples: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * rate / len(samples))


def first_lost(address: str, **options) -> Lost:
    return next(item for item in items(address, **options) if isinstance(item, Lost))


def test_a_camera_is_read_by_rtsp() -> None:
    with rtsp_server() as port:
        samples, rate = sound(items(f"rtsp://127.0.0.1:{port}/hall", channel=1), seconds=1.0)
    assert rate == 48_000
    assert pitch(samples, rate) == pytest.approx(700.0, abs=5.0)


def test_a_camera_with_a_password_is_read_and_a_wrong_one_is_refused_without_it() -> None:
    with rtsp_server("user:sesame") as port:
        samples, rate = sound(items(f"rtsp://user:sesame@127.0.0.1:{port}/hall"), seconds=0.5)
        refused = first_lost(f"rtsp://user:mellon@127.0.0.1:{port}/hall")
    assert pitch(samples, rate) == pytest.approx(700.0, abs=5.0)
    assert refused.is_fault
    assert "mellon" not in refused.reason
    assert "user" not in refused.reason
    assert f"rtsp://127.0.0.1:{port}: " in refused.reason


def test_a_stream_of_ffmpeg_is_read_by_http_resampled_and_its_end_is_told() -> None:
    with ffmpeg_server(2.0) as port:
        found = []
        for item in resampled(items(f"http://127.0.0.1:{port}/hall.mp3"), 16_000):
            if isinstance(item, Lost) and any(isinstance(each, Block) for each in found):
                assert item.reason == f"http://127.0.0.1:{port}: the stream ended"
                assert not item.is_fault
                break
            found.append(item)
    blocks = [item for item in found if isinstance(item, Block)]
    samples = np.concatenate([block.samples for block in blocks])
    assert {block.sample_rate for block in blocks} == {16_000}
    assert len(samples) == pytest.approx(2 * 16_000, rel=0.05)
    assert pitch(samples, 16_000) == pytest.approx(900.0, abs=5.0)


@pytest.mark.parametrize(
    ("scheme", "arguments", "rate"),
    [("udp", ("-f", "mpegts"), 44_100), ("rtp", ("-ar", "8000", "-acodec", "pcm_mulaw", "-f", "rtp"), 8_000)],
)
def test_sound_that_is_sent_without_a_connection_is_read(scheme: str, arguments: tuple[str, ...], rate: int) -> None:
    with ffmpeg_sender(scheme, *arguments) as port:
        samples, found = sound(items(f"{scheme}://127.0.0.1:{port}"), seconds=0.5)
    assert found == rate
    assert pitch(samples, found) == pytest.approx(900.0, abs=5.0)


def test_a_scheme_that_the_installed_ffmpeg_cannot_read_is_named() -> None:
    with pytest.raises((SettingsError, DataError)) as error:
        source("srt://127.0.0.1:9000", timeout_seconds=0.2).check()
    if isinstance(error.value, DataError):
        pytest.skip("the installed FFmpeg reads srt://")
    assert str(error.value).startswith(
        "srt: the FFmpeg within the PyAV that is installed cannot read srt://; send it as"
    )


def test_a_stream_that_ends_is_opened_again_with_its_own_query() -> None:
    body = encoded(*TONE, "-f", "mp3")
    with http_server([body]) as (port, asked):
        for _ in items(f"http://127.0.0.1:{port}/hall?key=1&rate=9"):
            if len(asked) == 2:
                break
    assert set(asked) == {"/hall?key=1&rate=9"}


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_accepts_and_says_nothing_is_a_fault_after_the_timeout(scheme: str) -> None:
    with silent_server() as port:
        found = first_lost(f"{scheme}://127.0.0.1:{port}/hall", timeout_seconds=0.5)
    assert found.is_fault
    assert found.reason == f"{scheme}://127.0.0.1:{port}: no answer, or no sound, for 0.5 s"


def test_a_stream_that_stops_without_an_end_is_a_fault_after_the_timeout() -> None:
    body = encoded(*TONE, "-f", "mp3")
    with silent_server(b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n" + body) as port:
        found = []
        for item in items(f"http://127.0.0.1:{port}/hall", timeout_seconds=1.0):
            found.append(item)
            if isinstance(item, Lost):
                break
    assert isinstance(found[0], Block)
    assert "no answer, or no sound, for 1 s" in found[-1].reason


def test_a_stream_that_sends_html_is_a_fault() -> None:
    page = b"<!DOCTYPE html><html><body>" + 2_000 * b"<p>Please log in</p>" + b"</body></html>"
    with http_server([page], kind="text/html") as (port, _):
        found = first_lost(f"http://127.0.0.1:{port}/hall")
    assert found.is_fault
    assert "no sound" in found.reason


def test_a_playlist_of_a_stream_opens_no_file_of_this_computer(tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(encoded(*TONE, "-f", "wav"))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    with http_server([playlist], kind="application/vnd.apple.mpegurl") as (port, _):
        found = next(items(f"http://127.0.0.1:{port}/hall.m3u8"))
    assert isinstance(found, Lost)
    assert found.is_fault


def test_a_damaged_stream_tells_of_the_damage_and_goes_on() -> None:
    body = bytearray(encoded(*TONE, "-f", "adts"))
    middle = len(body) // 2
    body[middle : middle + 200] = bytes(200)
    with http_server([bytes(body)], kind="audio/aac") as (port, _):
        found = []
        for item in items(f"http://127.0.0.1:{port}/hall"):
            found.append(item)
            if isinstance(item, Lost) and item.reason.endswith("ended"):
                break
    kinds = [type(item) for item in found[:-1]]
    assert Lost in kinds
    assert kinds[0] is Block
    assert kinds[-1] is Block


def test_a_sample_rate_that_changes_in_the_middle_is_told() -> None:
    both = b"".join(
        encoded("-f", "lavfi", "-i", f"sine=frequency=900:sample_rate={rate}:duration=2", "-f", "adts")
        for rate in (44_100, 22_050)
    )
    with http_server([both], kind="audio/aac") as (port, _):
        found = []
        for item in resampled(items(f"http://127.0.0.1:{port}/hall"), 16_000):
            found.append(item)
            if isinstance(item, Lost) and "ended" in item.reason:
                break
    changes = [item.reason for item in found if isinstance(item, Lost)]
    assert "the sample rate changed from 44,100 to 22,050 Hz" in changes
    assert {item.sample_rate for item in found if isinstance(item, Block)} == {16_000}


def test_a_server_that_is_not_there_is_a_fault_and_checking_says_so() -> None:
    port = free_port()
    found = first_lost(f"http://user:sesame@127.0.0.1:{port}/hall?key=sesame")
    assert found.reason == f"http://127.0.0.1:{port}: connection refused"
    with pytest.raises(DataError, match="connection refused"):
        source(f"http://127.0.0.1:{port}/hall").check()


def test_a_stream_of_pictures_alone_is_a_fault() -> None:
    pictures = encoded("-f", "lavfi", "-i", "testsrc=duration=2:size=64x64:rate=10", "-f", "mpegts")
    with http_server([pictures], kind="video/mp2t") as (port, _):
        found = first_lost(f"http://127.0.0.1:{port}/hall")
    assert found.is_fault
    assert found.reason.endswith("it holds no sound, only pictures or data")


def test_a_channel_that_a_stream_lacks_is_refused() -> None:
    with rtsp_server() as port, pytest.raises(SettingsError, match=r"2 channels; channel 2 \(counted from 0\)"):
        list(items(f"rtsp://127.0.0.1:{port}/hall", channel=2))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rtsp:camera", "rtsp: expected rtsp://HOST"),
        ("http:///hall", "http: expected http://HOST"),
        ("rtsp://user:pa/ss@camera/hall", "/ is written as %2F"),
        ("rtps://user:sesame@camera/hall", r"'rtps://camera/hall' is no address of a source \(did you mean rtsps:\?\)"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_without_its_secret(address: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as error:
        find_source(address, settings())
    assert "sesame" not in str(error.value)
    assert "pa/ss" not in str(error.value)


def test_the_options_of_a_stream_stay_in_its_address() -> None:
    assert parse_address("https://host/hall?rate=1").place == "//host/hall?rate=1"

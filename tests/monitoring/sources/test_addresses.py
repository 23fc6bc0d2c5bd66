"""Addresses of sources: each scheme has its source, and nothing heavy is loaded to know it."""

import subprocess
import sys
from pathlib import Path

import pytest

from soundness.errors import SettingsError
from soundness.monitoring.sources.addresses import SCHEMES, check_address, find_source
from soundness.monitoring.sources.protocol import SourceSettings, without_secret

EXAMPLES = {
    "mic": "mic:USB microphone",
    "pcm": "pcm:-?rate=48000",
    "replay": "replay:a.wav?speed=60",
    "file": "file:a.wav",
    "folder": "folder:in?poll=1",
    "rtsp": "rtsp://camera/hall",
    "rtsps": "rtsps://camera:322/hall",
    "http": "http://radio:8000/hall?key=1",
    "https": "https://radio/hall",
    "rtp": "rtp://0.0.0.0:5004",
    "udp": "udp://@:1234",
    "srt": "srt://host:9000?mode=listener",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_has_an_example_and_a_source(scheme: str) -> None:
    own = SourceSettings(name="a", folder=Path("/data"), channel=0, sample_rate=None, clip_seconds=10.0)
    found = find_source(EXAMPLES[scheme], own)
    assert found.is_live == (scheme not in ("replay", "file", "folder"))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("mic", "'mic' is no address of a source"),
        ("mice:0", r"'mice:0' is no address of a source \(did you mean mic:\?\); expected one of "),
        ("mic:", "'mic:': nothing after mic:"),
        ("mic:0?rate=12", "mic: rate=12; expected a number of 1000 or more"),
        ("mic:0?gain=3", "mic: unknown option 'gain'; known: rate"),
    ],
)
def test_an_address_that_is_none_is_named(address: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_address(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://user:p@ss@camera/hall", "rtsp://camera/hall"),
        ("rtsp://camera/hall@2", "rtsp://camera/hall@2"),
        ("http://{secret}@radio/hall", "http://radio/hall"),
        ("folder:in@home", "folder:in@home"),
    ],
)
def test_an_address_is_shown_without_user_and_password(address: str, shown: str) -> None:
    assert without_secret(address) == shown


def test_addresses_are_checked_without_torch_and_without_devices_or_decoders() -> None:
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from soundness.monitoring.sources.addresses import check_address\n"
        f"[check_address(one) for one in {list(EXAMPLES.values())!r}]\n"
        "print(sorted({'av', 'sounddevice'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "[]\n"

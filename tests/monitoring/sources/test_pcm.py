"""Raw samples by a real pipe."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from soundness.errors import SettingsError
from soundness.monitoring.sources.addresses import find_source
from soundness.monitoring.sources.protocol import SourceSettings


def source(address: str, channel: int = 0):
    own = SourceSettings(name="a", folder=Path(), channel=channel, sample_rate=None, clip_seconds=1.0)
    return find_source(address, own)


def read(address: str, parts: list[bytes], channel: int = 0) -> tuple[np.ndarray, int]:
    """Samples that come of parts of bytes, each written for itself."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as stream:
            for part in parts:
                stream.write(part)
                time.sleep(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb") as stream:
        found = list(source(address, channel).read(stream, threading.Event()))
    thread.join()
    return np.concatenate([block.samples for block in found]), found[0].sample_rate


@pytest.mark.parametrize(("kind", "scale"), [("<i2", 2**15), ("<i4", 2**31), ("<f4", 1)])
def test_bytes_that_are_cut_within_a_sample_give_the_same_samples(kind: str, scale: int) -> None:
    rng = np.random.default_rng(0)
    values = (rng.uniform(-1, 1, size=(500, 3)) * scale).astype(kind)
    data = values.tobytes()
    cuts = np.sort(rng.choice(np.arange(1, len(data)), 60, replace=False))
    parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    name = {"<i2": "s16", "<i4": "s32", "<f4": "f32"}[kind]
    found, rate = read(f"pcm:-?rate=8000&channels=3&format={name}", [*parts, b"\x01"], channel=2)
    assert rate == 8_000
    assert found == pytest.approx(values[:, 2] / scale, abs=1e-7)


@pytest.mark.parametrize(
    ("address", "channel", "words"),
    [
        ("pcm:stdin", 0, "pcm:stdin: expected pcm:-"),
        ("pcm:-?format=u8", 0, "pcm: format=u8; expected one of s16, s32, f32"),
        ("pcm:-?rate=10", 0, "pcm: rate=10; expected a number of 1000 or more"),
        ("pcm:-?channels=2", 2, r"pcm: channels=2; channel 2 \(counted from 0\) is needed"),
        ("pcm:-?bits=16", 0, "pcm: unknown option 'bits'"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(address: str, channel: int, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        source(address, channel)

"""Recordings for tests of commands: good ones and broken ones."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def write(path: Path, *, seed: int = 90, seconds: float = 1.5, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(scale=0.05, size=int(seconds * rate))
    soundfile.write(path, noise, rate, subtype="PCM_16")
    return path


BROKEN = {
    "empty": b"",
    "text": b"this is not audio\n" * 100,
    "zero": None,
    "truncated": None,
    "nan": None,
    "infinite": None,
    "short": None,
}


def write_broken(path: Path, kind: str) -> Path:
    content = BROKEN[kind]
    if content is not None:
        path.write_bytes(content)
    elif kind == "zero":
        soundfile.write(path, np.zeros(0), RATE)
    elif kind == "truncated":
        write(path)
        path.write_bytes(path.read_bytes()[:20_000])
    elif kind == "short":
        write(path, seconds=0.02)
    else:
        samples = np.zeros(RATE, dtype=np.float32)
        samples[500] = {"nan": np.nan, "infinite": np.inf}[kind]
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    return path

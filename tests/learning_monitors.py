"""Monitors that learn: streams of a humming machine, and engines that read them."""

from pathlib import Path

import numpy as np
import soundfile

from monitored import RATE
from soundness.monitoring.configuration.monitor_settings import MonitorSettings
from soundness.monitoring.live.engine import Engine
from soundness.monitoring.store.store import Store

CLIP_SECONDS = 0.5


def humming(seconds, seed=0):
    """A hum in noise whose level is never quite the same."""
    rng, time = np.random.default_rng(seed), np.arange(round(seconds * RATE)) / RATE
    level = 1.0 + 0.1 * np.repeat(rng.standard_normal(round(seconds / CLIP_SECONDS) + 1), round(CLIP_SECONDS * RATE))
    return (0.05 * rng.standard_normal(len(time)) + 0.2 * np.sin(2 * np.pi * 400 * time)) * level[: len(time)]


def write_stream(path: Path, n_clips, *, seed=0, anomalous=()):
    """Write a recording of so many clips, some of which have another pitch."""
    samples, n = humming(n_clips * CLIP_SECONDS, seed), round(CLIP_SECONDS * RATE)
    for index in anomalous:
        time, hz = np.arange(n) / RATE, 1_500 + 150 * index
        samples[index * n : (index + 1) * n] += 0.3 * np.sin(2 * np.pi * hz * time)
    soundfile.write(path, samples, RATE, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


def settings(source="replay:stream.wav?speed=0", **sensor):
    """Configuration of a monitor with one sensor that learns."""
    own = {"name": "pump", "source": source, "clip_seconds": CLIP_SECONDS, "learn": "20s", **sensor}
    return MonitorSettings.model_validate({"sensor": (own,)})


def engine_in(folder: Path, own):
    """Engine of a configuration, with its store, which is to be closed."""
    store = Store.open(folder / "data")
    return Engine(own, folder=folder, store=store, n_workers=1), store


def run_in(folder: Path, own):
    """Run a monitor until its source has ended and all is learned; its store, which is to be closed."""
    engine, store = engine_in(folder, own)
    assert engine.load_detectors() == {}
    engine.run()
    return store

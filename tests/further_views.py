"""A system with tests beside the sound as a whole, and noise of a machine with changes of a known place."""

from pathlib import Path

import numpy as np
import soundfile

from soundness.settings.loading import load_settings
from soundness.settings.system import SystemSettings

RATE = 16_000
SECONDS = 4.0
PEAKS = (
    'scorer.peaks=[{kind="event",view=2},{kind="dropout",view=3,price=2.5},'
    '{kind="modulation",view=4},{kind="tone",view=5,is_two_sided=true}]'
)
MEMBERS = (
    'scorer.members=[{view=0,distance="nearest",normalization="shrunk-z-score"},'
    '{view=1,distance="density-ratio",normalization="shrunk-z-score"},'
    '{view=0,distance="narrow-change",normalization="shrunk-z-score"}]'
)


def joined_settings(*overrides: str) -> SystemSettings:
    """Settings of the default system with four tests beside the sound as a whole."""
    views = 'views=["events","dropouts","modulation","tones"]'
    few = "scorer.few_clips_price=0"  # what they find is tested, on few clips
    return load_settings("soundness", overrides=['scorer.name="joined"', views, MEMBERS, PEAKS, few, *overrides])


def machine_noise(seed, *, seconds=SECONDS, rate=RATE, hum=True):
    """Noise, lower at high frequencies, and a hum of 388 Hz."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal(round(seconds * rate))
    noise = 0.05 * white + 0.05 * np.convolve(white, np.ones(8) / 8, mode="same")
    moments = np.arange(len(noise)) / rate
    return noise + 0.02 * hum * np.sin(2 * np.pi * 388 * moments + rng.uniform(0, 6))


def write_normal(folder, *, n_clips=16, seconds=SECONDS, rate=RATE) -> Path:
    """Normal recordings of that machine."""
    folder.mkdir(parents=True)
    for seed in range(n_clips):
        soundfile.write(folder / f"{seed:02}.wav", machine_noise(seed, seconds=seconds, rate=rate), rate)
    return folder


def with_knocks(waveform, moments, *, hz=2_000.0, size=1.0, rate=RATE):
    """Damped bursts of 15 ms at some times in seconds."""
    found, time = waveform.copy(), np.arange(round(0.015 * rate)) / rate
    for moment in moments:
        start = round(moment * rate)
        found[start : start + len(time)] += size * np.sin(2 * np.pi * hz * time) * np.exp(-time / 0.005)
    return found


def with_drops(waveform, moments, *, seconds=0.2, rate=RATE):
    """Gaps of silence, nearly, that begin at some times in seconds."""
    found = waveform.copy()
    for moment in moments:
        found[round(moment * rate) : round((moment + seconds) * rate)] *= 0.05
    return found


def modulated(waveform, hz, *, depth=0.5, rate=RATE):
    """Level that goes up and down."""
    return waveform * (1 + depth * np.sin(2 * np.pi * hz * np.arange(len(waveform)) / rate))


def with_tone(waveform, hz, *, size=0.01, rate=RATE):
    """Steady tone added."""
    return waveform + size * np.sin(2 * np.pi * hz * np.arange(len(waveform)) / rate)


def rhythm(seed, missing=(), *, seconds=6.0, period=0.5, start=0.13, rate=RATE):
    """Noise that is loud for two thirds of each period, but not in some of them."""
    noise = machine_noise(seed, seconds=seconds, rate=rate)
    moments = np.arange(len(noise)) / rate + start
    is_loud = (moments % period < 0.65 * period) & ~np.isin(moments // period, missing)
    return noise * np.where(is_loud, 1.0, 0.1)

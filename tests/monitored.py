"""A machine that hums, a detector of it, and recordings as they appear."""

import os
from pathlib import Path

import numpy as np
import soundfile

from soundness.scoring.decisions.alarms import AlarmRule

RATE = 16_000


def rule(n_anomalous=1, n_clips=1, p_value=0.05, every=1.0):
    """An alarm rule whose promises nobody looks at."""
    rates = dict.fromkeys(("asked_per_day", "expected_per_day", "bound_per_day", "dependent_per_day"), 1.0)
    return AlarmRule(p_value=p_value, n_anomalous=n_anomalous, n_clips=n_clips, clip_every_seconds=every, **rates)


def hum(seed=0, *, is_anomalous=False, seconds=0.4, rate=RATE):
    """A machine that is well, or has another pitch."""
    time = np.arange(round(seconds * rate)) / rate
    noise = 0.05 * np.random.default_rng(seed).standard_normal(len(time))
    return noise + 0.2 * np.sin(2 * np.pi * (1300 if is_anomalous else 400) * time)


def record(path: Path, seed=0, *, seconds_ago=0.0, **options):
    """A recording that is there at once and as a whole, and was last changed some seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.part")
    soundfile.write(written, hum(seed, **options), options.get("rate", RATE), format=path.suffix[1:])
    age(written, seconds_ago)
    return written.rename(path)


def age(path: Path, seconds_ago):
    """Make a file look as if it had been changed so long ago."""
    changed = path.stat().st_mtime_ns - round(seconds_ago * 1e9)
    os.utime(path, ns=(changed, changed))


SMALL_EARS = ["log_mel.n_mels=16", "log_mel.n_fft=512", "log_mel.hop_length=256"]


def hum_at(path: Path, hz, seed, *, gain=1.0, rate=RATE, n_channels=1):
    """Write a hum of a pitch in noise, of 0.4 s."""
    time = np.arange(round(0.4 * rate)) / rate
    noise = 0.05 * np.random.default_rng(seed).standard_normal(len(time))
    sound = gain * (noise + 0.2 * np.sin(2 * np.pi * hz * time))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([sound] * n_channels, axis=1), rate)
    return path


TONE_HZ = 3_000


def write_fan(folder, *, tone=None, seconds=2.0, rate=RATE, seed=1):
    """Write a hum in noise, with a tone between two seconds if there are any."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.02 * np.sqrt(rate / RATE) * rng.standard_normal(len(time)) + 0.1 * np.sin(2 * np.pi * 400 * time)
    if tone is not None:
        samples += 0.05 * np.sin(2 * np.pi * TONE_HZ * time) * ((time >= tone[0]) & (time < tone[1]))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"clip_{seed:03d}.wav"
    soundfile.write(path, samples, rate)
    return path

"""Scores of synthetic machines whose normal sound drifts, and that fail, strung into streams of any speed.

Of each machine there are scores of the same normal clips at several levels of each drift, so that a clip of a stream
takes its score from between two levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

import soundness
from soundness.detectors.detector import Detector
from soundness.synthetic.machines import fault_kinds
from soundness.synthetic.plan import ClipPlan
from soundness.synthetic.render import render
from soundness.synthetic.signals import SAMPLE_RATE

__all__ = ["DRIFTS", "SECONDS", "Pool", "make_pool", "stream", "write_stream"]

Array = NDArray[np.float64]

N_TRAIN, N_CALIBRATE, N_POOL, N_FAULTY = 160, 200, 200, 60
SECONDS = 4.0
LEVELS = (0.0, 0.25, 0.5, 1.0)
DRIFTS = {"gain": 4.0, "tilt": 1.5, "wear": 0.5}
"""Drift at its full level: dB, dB an octave, severity of a fault that is not yet one."""

_TILT_HZ = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Scores of one machine.

    Parameters
    ----------
    calibration
        Scores of the normal clips that calibrate, shape ``(clip,)``.
    drifted
        Scores of the same normal clips at each level of each drift, shape ``(level, clip)``.
    faulty
        Scores of clips of each kind of fault, shape ``(clip,)``.
    """

    calibration: Array
    drifted: dict[str, Array]
    faulty: dict[str, Array]


def make_pool(machine: str, *, seed: int, work: Path) -> Pool:
    """Scores of a machine, made once and then read."""
    file = work / f"pool-{machine}-{seed}.npz"
    if not file.exists():
        work.mkdir(parents=True, exist_ok=True)
        np.savez(file, **_scores(machine, seed, work))
    found = np.load(file)
    return Pool(
        calibration=found["calibration"],
        drifted={name.removeprefix("drift-"): found[name] for name in found.files if name.startswith("drift-")},
        faulty={name.removeprefix("fault-"): found[name] for name in found.files if name.startswith("fault-")},
    )


def stream(pool: Pool, drift: str, levels: Array, *, rng: np.random.Generator) -> Array:
    """Scores of normal clips drawn at random, each at a level between 0 and 1 of a drift, shape ``(clip,)``."""
    scores = pool.drifted[drift]
    drawn = rng.integers(scores.shape[1], size=len(levels))
    place = np.clip(np.searchsorted(LEVELS, levels, side="right") - 1, 0, len(LEVELS) - 2)
    low, high = np.array(LEVELS)[place], np.array(LEVELS)[place + 1]
    share = (levels - low) / (high - low)
    return (1.0 - share) * scores[place, drawn] + share * scores[place + 1, drawn]


def write_stream(path: Path, machine: str, *, seed: int, levels: Array, fault: str, n_faulty: int) -> None:
    """Write a recording of normal clips, each tilted to a level between 0 and 1, and of a fault after them."""
    first = N_TRAIN + N_CALIBRATE + N_POOL
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, subtype="PCM_16") as stream:
        for index, level in enumerate(levels):
            stream.write(_tilted(_normal(machine, seed, first + index), DRIFTS["tilt"] * level))
        for index in range(n_faulty):
            faulty = _faulty(machine, seed, index, fault, severity=0.8)
            stream.write(_tilted(faulty, DRIFTS["tilt"] * levels[-1]))


def _scores(machine: str, seed: int, work: Path) -> dict[str, Array]:
    detector = _trained(machine, seed, work)
    normal = [_normal(machine, seed, N_TRAIN + N_CALIBRATE + index) for index in range(N_POOL)]
    found = {
        "calibration": _scored(detector, [_normal(machine, seed, N_TRAIN + index) for index in range(N_CALIBRATE)]),
        "drift-gain": np.stack(
            [_scored(detector, [_louder(one, DRIFTS["gain"] * at) for one in normal]) for at in LEVELS]
        ),
        "drift-tilt": np.stack(
            [_scored(detector, [_tilted(one, DRIFTS["tilt"] * at) for one in normal]) for at in LEVELS]
        ),
    }
    kinds = fault_kinds(machine)
    worn = [
        [_faulty(machine, seed, index, kinds[0], severity=DRIFTS["wear"] * at) for index in range(N_POOL)]
        for at in LEVELS[1:]
    ]
    found["drift-wear"] = np.stack([found["drift-gain"][0], *(_scored(detector, clips) for clips in worn)])
    for kind in kinds:
        clips = [_faulty(machine, seed, index, kind, severity=0.8) for index in range(N_FAULTY)]
        found[f"fault-{kind}"] = _scored(detector, clips)
    return found


def _trained(machine: str, seed: int, work: Path) -> Detector:
    data = work / f"data-{machine}-{seed}"
    folder = data / machine / "train"
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(N_TRAIN):
        soundfile.write(folder / f"{index:04d}.wav", _normal(machine, seed, index), SAMPLE_RATE)
    (detector,) = soundness.train(data, work / f"run-{machine}-{seed}", existing="replace")
    return detector


def _normal(machine: str, seed: int, index: int) -> Array:
    return _rendered(machine, seed, index, None, 0.0)


def _faulty(machine: str, seed: int, index: int, kind: str, *, severity: float) -> Array:
    kinds = fault_kinds(machine)
    return _rendered(machine, seed, index * len(kinds) + kinds.index(kind), kind, severity)


def _rendered(machine: str, seed: int, index: int, fault: str | None, severity: float) -> Array:
    plan = ClipPlan(
        seed=seed,
        machine=machine,
        split="test",
        domain="source",
        label="normal" if fault is None else "anomaly",
        index=index,
        n_samples=round(SECONDS * SAMPLE_RATE),
        fault=fault,
        severity=severity,
    )
    stems = render(plan)
    return stems.machine + stems.noise


def _scored(detector: Detector, clips: Sequence[Array]) -> Array:
    return np.array([detector.score(clip, sample_rate=SAMPLE_RATE) for clip in clips])


def _louder(clip: Array, db: float) -> Array:
    return clip * 10 ** (db / 20)


def _tilted(clip: Array, db_an_octave: float) -> Array:
    """With high frequencies lower by so many dB an octave, as of warmer grease."""
    spectrum, hz = np.fft.rfft(clip), np.fft.rfftfreq(len(clip), 1.0 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(hz, 50.0) / _TILT_HZ)
    return np.fft.irfft(spectrum * 10 ** (-db_an_octave * octaves / 20), len(clip))

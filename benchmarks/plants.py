"""Anomalies planted into a normal recording: a table of kinds, each with the strengths that it is planted with.

`python benchmarks/plants.py` plants every kind with its largest strength into noise, and prints the rise of the
log-mel: largest and mean over all frames and bands.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from planting import (
    Change,
    Recording,
    Samples,
    all_pass,
    band_rise,
    delta_log_mel,
    dropouts,
    event,
    gain,
    harmonic_gone,
    high_band_modulation,
    knocks,
    level_ramp,
    level_step,
    missing_events,
    modulation,
    noise_rise,
    polarity,
    respaced,
    sidebands,
    speed,
    tone,
    tone_gone,
)

__all__ = ["GROUPS", "KINDS", "Kind", "plant"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Kind of anomaly.

    Parameters
    ----------
    name
        Without spaces.
    group
        Of `GROUPS`.
    unit
        Unit of the strength.
    strengths
        From weak to strong.
    change
        Plants it.
    words
        Description for a technician.
    """

    name: str
    group: str
    unit: str
    strengths: tuple[float, ...]
    change: Change
    words: str


def plant(waveform: Samples, kind: Kind, strength: float, *, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Recording with an anomaly of a kind.

    Parameters
    ----------
    waveform
        Normal recording, float64, shape ``(time,)``.
    kind, strength
        What is planted; a strength may lie outside the kind's.
    sample_rate
        Hz.
    rng
        Source of the place; with the same state each strength of a kind is planted at the same place.

    Returns
    -------
    Samples
        float64 of the same shape, not limited to full scale.
    """
    recording = Recording(np.asarray(waveform, np.float64), sample_rate, rng)
    return kind.change(recording, strength)


SHORT = (3.0, 6.0, 10.0, 15.0, 20.0)
LONG = (1.5, 3.0, 6.0, 10.0)
KNOCKS = (2.0, 4.0, 6.0, 10.0, 20.0)
TONES = (1.0, 3.0, 6.0, 10.0)
DEPTHS = (1.0, 2.0, 4.0, 8.0)
BROAD = (0.5, 1.0, 2.0, 4.0)
STEPS = (1.0, 3.0, 6.0)
GAPS = (6.0, 12.0, 20.0, 60.0)
GONE = (3.0, 6.0, 10.0, 20.0)
PACE = (2.0, 5.0, 10.0, 20.0)
SPEEDS = (0.5, 1.0, 2.0, 5.0)


def _kind(group: str, name: str, words: str, *, unit: str, strengths: Iterable[float], change: Change) -> Kind:
    return Kind(name=name, group=group, unit=unit, strengths=tuple(strengths), change=change, words=words)


def _events() -> Iterable[Kind]:
    for n_bands, where in ((128, "in all bands"), (16, "in 16 of 128 bands"), (1, "in one band")):
        for n_frames in (1, 2, 5, 10, 40):
            yield _kind(
                "event",
                f"event-{n_frames}x{n_bands}",
                f"{n_frames} frame{'s' * (n_frames > 1)} louder {where}",
                unit="dB",
                strengths=LONG if n_frames == 40 else SHORT,
                change=partial(event, n_frames=n_frames, n_bands=n_bands),
            )


def _knocks() -> Iterable[Kind]:
    for n_knocks, is_periodic in ((1, False), (3, False), (10, False), (10, True)):
        yield _kind(
            "knock",
            f"knock-{n_knocks}{'-periodic' * is_periodic}",
            f"{n_knocks} knock{'s' * (n_knocks > 1)} of 15 ms{', evenly spaced' * is_periodic}",
            unit="x rms",
            strengths=KNOCKS,
            change=partial(knocks, n_knocks=n_knocks, is_periodic=is_periodic),
        )


def _tones() -> Iterable[Kind]:
    own = partial(_kind, "tone", unit="dB")
    yield own("tone", "a steady tone in its band", strengths=TONES, change=partial(tone, share=1.0))
    yield own(
        "tone-quarter", "a tone for a quarter of the time", strengths=(*TONES, 15), change=partial(tone, share=0.25)
    )
    yield own("band", "one band louder", strengths=TONES, change=band_rise)
    yield own("tone-gone", "the clearest tone weaker", strengths=GONE, change=tone_gone)
    yield own("harmonic-gone", "one harmonic weaker", strengths=GONE, change=harmonic_gone)
    yield _kind(
        "tone",
        "sidebands",
        "lines 5-40 Hz beside the clearest tone",
        unit="dBc",
        strengths=(-30, -20, -10),
        change=sidebands,
    )


def _modulations() -> Iterable[Kind]:
    own = partial(_kind, "modulation", unit="dB", strengths=DEPTHS)
    for hz in (1, 5, 20, 50, 107):
        yield own(f"modulation-{hz}", f"all bands modulated at {hz} Hz", change=partial(modulation, hz=hz))
    for hz in (20, 107):
        words = f"2-6 kHz modulated at {hz} Hz"
        yield own(f"high-modulation-{hz}", words, change=partial(high_band_modulation, hz=hz))


def _levels() -> Iterable[Kind]:
    own = partial(_kind, "level", unit="dB", strengths=STEPS)
    yield own("step", "a step of the level", change=level_step)
    yield own("ramp", "a slow ramp of the level", change=level_ramp)
    yield own("louder", "all of it louder", change=gain)
    yield own("quieter", "all of it quieter", change=lambda recording, strength: gain(recording, -strength))
    high = partial(noise_rise, low=1_000, high=np.inf)
    yield own("noise-high", "more noise above 1 kHz", strengths=BROAD, change=high)
    yield own("noise-low", "more noise below 300 Hz", strengths=BROAD, change=partial(noise_rise, low=20, high=300))


def _gaps() -> Iterable[Kind]:
    for milliseconds, numbers in ((30, (1, 3, 10)), (200, (1, 3))):
        for n_gaps in numbers:
            yield _kind(
                "gap",
                f"gap-{n_gaps}x{milliseconds}",
                f"{n_gaps} gap{'s' * (n_gaps > 1)} of {milliseconds} ms",
                unit="dB",
                strengths=GAPS,
                change=partial(dropouts, n_gaps=n_gaps, seconds=milliseconds / 1000),
            )
    words = "the loudest events missing"
    yield _kind("gap", "event-gone", words, unit="events", strengths=(1, 2, 4), change=missing_events)


def _rhythms() -> Iterable[Kind]:
    own = partial(_kind, "rhythm", unit="%")
    for kind in ("faster", "slower"):
        yield own(f"rhythm-{kind}", f"{kind} rhythm, same pitch", strengths=PACE, change=partial(respaced, kind=kind))
    irregular = partial(respaced, kind="irregular")
    yield own("rhythm-irregular", "irregular rhythm", strengths=(5, 10, 20, 30), change=irregular)
    yield own("speed-up", "runs faster, pitch and all", strengths=SPEEDS, change=speed)
    yield own(
        "speed-down", "runs slower", strengths=SPEEDS, change=lambda recording, strength: speed(recording, -strength)
    )


def _phases() -> Iterable[Kind]:
    yield _kind("phase", "polarity", "plus and minus exchanged", unit="x", strengths=(1,), change=polarity)
    words = "frequencies delayed against each other"
    yield _kind("phase", "all-pass", words, unit="ms", strengths=(1, 2, 4), change=all_pass)


KINDS = {
    kind.name: kind
    for kinds in (_events, _knocks, _tones, _modulations, _levels, _gaps, _rhythms, _phases)
    for kind in kinds()
}
GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS.values()))


def main() -> None:
    """Print the rise of the log-mel of noise for each kind."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(102_400)
    noise += 0.1 * sum(np.sin(2 * np.pi * 120 * order * np.arange(len(noise)) / 16_000) for order in (1, 2, 3))
    for kind in KINDS.values():
        strength = kind.strengths[-1]
        planted = plant(noise, kind, strength, sample_rate=16_000, rng=np.random.default_rng(1))
        rise = delta_log_mel(noise, planted, sample_rate=16_000)
        print(f"{kind.name:18} {strength:5g} {kind.unit:6} largest {rise.max():+6.1f} dB, mean {rise.mean():+6.2f} dB")


if __name__ == "__main__":
    main()

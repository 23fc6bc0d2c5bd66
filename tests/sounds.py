"""Spectra of synthetic sounds, and plans of anomalous clips."""

import numpy as np

from soundness.aliases import Array
from soundness.synthetic import MACHINES
from soundness.synthetic.machines import fault_kinds
from soundness.synthetic.plan import ClipPlan
from soundness.synthetic.signals import (
    SAMPLE_RATE,
)

N_SAMPLES = 10 * SAMPLE_RATE


ALL_FAULTS = [(machine, kind) for machine in MACHINES for kind in fault_kinds(machine)]


WIDE_BAND = {"overvoltage"}


def anomalous_plan(machine: str, kind: str, *, severity: float = 1.0) -> ClipPlan:
    index = fault_kinds(machine).index(kind)
    return ClipPlan(
        seed=0,
        machine=machine,
        split="test",
        domain="source",
        label="anomaly",
        index=index,
        n_samples=N_SAMPLES // 2,
        fault=kind,
        severity=severity,
    )


def spectrum(waveform: Array) -> tuple[Array, Array]:
    """Frequencies in Hz, and power."""
    power = np.abs(np.fft.rfft(waveform * np.hanning(waveform.size))) ** 2
    return np.fft.rfftfreq(waveform.size, 1.0 / SAMPLE_RATE), power


def share_between(waveform: Array, fmin: float, fmax: float) -> float:
    frequencies, power = spectrum(waveform)
    return float(power[(frequencies >= fmin) & (frequencies <= fmax)].sum() / power.sum())


def peak_hz(waveform: Array, fmin: float, fmax: float) -> float:
    frequencies, power = spectrum(waveform)
    inside = (frequencies >= fmin) & (frequencies <= fmax)
    return float(frequencies[inside][np.argmax(power[inside])])


def envelope(waveform: Array) -> Array:
    """Rectified waveform without its mean."""
    return np.abs(waveform) - np.mean(np.abs(waveform))

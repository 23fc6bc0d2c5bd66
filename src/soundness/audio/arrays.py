"""Samples in an array, of whatever kind, as a waveform; or refused by name."""

import operator

import numpy as np
import soxr  # type: ignore[import-untyped]  # it ships no types
from numpy.typing import ArrayLike, NDArray

from soundness.aliases import Waveform
from soundness.errors import AudioError

__all__ = ["as_waveform"]

_MOST_CHANNELS = 64


def as_waveform(
    samples: ArrayLike, *, sample_rate: int | None, target_rate: int, fmax: float, min_samples: int
) -> Waveform:
    """Make a waveform of samples.

    Parameters
    ----------
    samples
        Floats as they are; signed integers with their type's range as full scale, and bytes (uint8) with 128 as zero.
        Shape ``(time,)``, ``(channel, time)`` or ``(time, channel)``: the longer side is time.
    sample_rate
        Rate of the samples in Hz; ``None`` if it is the target's.
    target_rate
        Rate of the waveform in Hz; other rates are resampled.
    fmax
        Highest frequency in Hz that is needed.
    min_samples
        Fewest samples at the target's rate.

    Returns
    -------
    ndarray
        Waveform, shape ``(channel, time)``.

    Raises
    ------
    AudioError
        If the samples are no real numbers, not finite, of another shape, too few, or of too low a rate.
    """
    rate = target_rate if sample_rate is None else _checked_rate(sample_rate, fmax)
    waveform = _with_channels(_scaled(np.asarray(samples)))
    if not np.isfinite(waveform).all():
        raise AudioError("holds samples that are no numbers (NaN or infinite)")
    if rate != target_rate and waveform.shape[1]:
        stream = soxr.ResampleStream(rate, target_rate, len(waveform))
        waveform = np.ascontiguousarray(stream.resample_chunk(np.ascontiguousarray(waveform.T), last=True).T)
    if waveform.shape[1] < min_samples:
        raise AudioError(f"{waveform.shape[1]:,} samples at {target_rate} Hz; a clip needs at least {min_samples:,}")
    return waveform


def _checked_rate(sample_rate: int, fmax: float) -> int:
    try:
        rate = operator.index(sample_rate)
    except TypeError:
        raise AudioError(f"sample rate {sample_rate!r}; expected a whole number of Hz, such as 16000") from None
    if rate <= 0:
        raise AudioError(f"sample rate {rate}; expected a positive number of Hz, such as 16000")
    if rate < 2 * fmax:
        raise AudioError(
            f"recorded at {rate} Hz, so nothing above {rate / 2:g} Hz; the detector uses frequencies up to {fmax:g} Hz"
        )
    return rate


def _scaled(samples: NDArray[np.generic]) -> Waveform:
    kind = samples.dtype
    if kind == np.uint8:
        return (samples.astype(np.float32) - np.float32(128)) / np.float32(128)
    if np.issubdtype(kind, np.signedinteger):
        full_scale = 2.0 ** (8 * kind.itemsize - 1)
        scaled: Waveform = (samples.astype(np.float64) / full_scale).astype(np.float32)
        return scaled
    if np.issubdtype(kind, np.floating):
        return samples.astype(np.float32)
    raise AudioError(f"samples of type {kind}; expected floats, signed integers, or bytes (uint8)")


def _with_channels(samples: Waveform) -> Waveform:
    """Waveform of shape ``(channel, time)``."""
    if samples.ndim == 1:
        return samples[None]
    if samples.ndim != 2:
        raise AudioError(f"samples of shape {samples.shape}; expected (time,), (channel, time) or (time, channel)")
    n_channels, n_samples = sorted(samples.shape)
    if n_channels > _MOST_CHANNELS or n_channels == n_samples > 1:
        raise AudioError(
            f"samples of shape {samples.shape}: which side is time cannot be told; expected (channel, time) with fewer "
            f"channels than samples, {_MOST_CHANNELS} at the most"
        )
    return np.ascontiguousarray(samples if samples.shape[0] == n_channels else samples.T)

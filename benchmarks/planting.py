"""Changes of a recording by a quantity that is known: what `plants` offers by name is made of these.

A change takes a `Recording` and a strength, and gives a waveform of the same length in float64. Nothing is limited to
full scale: it is written as float. Where a log-mel is to rise by so many dB, it rises by just so much in the mean of
the named frames and bands, measured with the frames and the filters of the package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage, optimize, signal

from soundness.audio.log_mel import band_centres, hann_window, mel_filterbank
from soundness.settings.loading import DEFAULT_SYSTEM, load_settings

__all__ = [
    "Change",
    "Recording",
    "Samples",
    "all_pass",
    "band_rise",
    "delta_log_mel",
    "dropouts",
    "event",
    "gain",
    "harmonic_gone",
    "high_band_modulation",
    "knocks",
    "level_ramp",
    "level_step",
    "missing_events",
    "modulation",
    "noise_rise",
    "polarity",
    "respaced",
    "sidebands",
    "speed",
    "tone",
    "tone_gone",
]

SETTINGS = load_settings(DEFAULT_SYSTEM).log_mel
N_FFT, HOP = SETTINGS.n_fft, SETTINGS.hop_length
KNOCK_SECONDS = 0.015

Samples = NDArray[np.float64]
Spectrum = NDArray[np.complex128]


@dataclass(frozen=True)
class Recording:
    """Normal recording that something is planted into: waveform of shape ``(time,)``, and where chance comes from."""

    waveform: Samples
    sample_rate: int
    rng: np.random.Generator

    @cached_property
    def rms(self) -> float:
        """Root mean square without the mean."""
        return float(self.waveform.std())

    @property
    def moments(self) -> Samples:
        """Time of each sample in seconds."""
        return np.arange(len(self.waveform)) / self.sample_rate

    @property
    def n_frames(self) -> int:
        """Frames of its log-mel."""
        return 1 + len(self.waveform) // HOP


Change = Callable[[Recording, float], Samples]


def delta_log_mel(before: Samples, after: Samples, *, sample_rate: int) -> Samples:
    """Difference of two log-mels in dB, shape ``(mel, frame)``, without a floor."""
    powers = (np.abs(_frames(waveform)) ** 2 @ _filters(sample_rate).T for waveform in (before, after))
    old, new = (np.maximum(power, 1e-300) for power in powers)
    difference: Samples = 10 * np.log10(new / old).T
    return difference


def event(recording: Recording, strength: float, *, n_frames: int, n_bands: int) -> Samples:
    """Frames of the log-mel, in adjacent bands, louder by dB: place and bands by chance."""
    first = int(recording.rng.integers(1, recording.n_frames - n_frames))
    return _louder(recording, strength, slice(first, first + n_frames), n_bands)


def band_rise(recording: Recording, strength: float) -> Samples:
    """One band louder by dB from start to end."""
    return _louder(recording, strength, slice(0, recording.n_frames), 1)


def tone(recording: Recording, strength: float, *, share: float) -> Samples:
    """Steady tone that raises its band by dB, for a share of the time."""
    hz = float(np.exp(recording.rng.uniform(np.log(150), np.log(0.45 * recording.sample_rate))))
    band = int(np.abs(band_centres(SETTINGS) - hz).argmin())
    n_frames = round(share * recording.n_frames)
    first = int(recording.rng.integers(0, recording.n_frames - n_frames + 1))
    wave = np.sin(2 * np.pi * hz * recording.moments + recording.rng.uniform(0, 2 * np.pi))
    if share < 1:
        wave[: first * HOP] = wave[(first + n_frames) * HOP :] = 0
    return _raised(recording, wave, strength, (slice(first, first + n_frames), slice(band, band + 1)))


def noise_rise(recording: Recording, strength: float, *, low: float, high: float) -> Samples:
    """Noise of the recording's own spectrum that raises the bands between two frequencies by dB."""
    hz, power = _power(recording)
    n_samples = len(recording.waveform)
    bins = np.fft.rfftfreq(n_samples, 1 / recording.sample_rate)
    shape = np.sqrt(np.interp(bins, hz, power)) * ((bins >= low) & (bins <= high))
    noise = np.fft.irfft(np.fft.rfft(recording.rng.standard_normal(n_samples)) * shape, n_samples)
    centres = band_centres(SETTINGS)
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    return _raised(recording, noise, strength, (slice(0, recording.n_frames), slice(inside[0], inside[-1] + 1)))


def knocks(recording: Recording, strength: float, *, n_knocks: int, is_periodic: bool) -> Samples:
    """Damped bursts of 15 ms, half resonance and half noise, with a peak of so many times the recording's rms."""
    rng, rate = recording.rng, recording.sample_rate
    length = round(KNOCK_SECONDS * rate)
    room = len(recording.waveform) - length
    period = room / n_knocks
    even = rng.uniform(0, period) + period * np.arange(n_knocks)
    starts = (even if is_periodic else rng.uniform(0, room, n_knocks)).astype(int)
    moments = np.arange(length) / rate
    resonance = np.sin(2 * np.pi * rng.uniform(800, 0.3 * rate) * moments)
    found = recording.waveform.copy()
    for start in starts:
        burst = (resonance + 0.5 * rng.standard_normal(length)) * np.exp(-moments / 0.005)
        found[start : start + length] += strength * recording.rms * burst / np.abs(burst).max()
    return found


def tone_gone(recording: Recording, strength: float) -> Samples:
    """The tone that stands out most, weaker by dB."""
    return _notched(recording, _strongest_tone(recording), strength)


def harmonic_gone(recording: Recording, strength: float) -> Samples:
    """One harmonic, the second to the tenth, of the strongest harmonic series, weaker by dB."""
    hz, height = _prominence(recording)
    fundamentals = np.arange(20, 400, 0.5)
    orders = np.arange(1, 11)
    heights = np.interp(fundamentals[:, None] * orders, hz, ndimage.maximum_filter1d(np.clip(height, 0, 20), 3))
    best = int(heights.mean(axis=1).argmax())
    return _notched(recording, fundamentals[best] * float(2 + heights[best, 1:].argmax()), strength)


def sidebands(recording: Recording, strength: float) -> Samples:
    """Two lines beside the strongest tone, 5 to 40 Hz away, of so many dB relative to it."""
    rng, hz = recording.rng, _strongest_tone(recording)
    carrier = _filtered(recording, _around(recording, hz))
    line = np.cos(2 * np.pi * rng.uniform(5, 40) * recording.moments + rng.uniform(0, 2 * np.pi))
    return recording.waveform + 2 * 10 ** (strength / 20) * line * carrier


def modulation(recording: Recording, strength: float, *, hz: float) -> Samples:
    """Level of all bands that goes up and down, dB from peak to trough; its mean in dB stays."""
    return recording.waveform * _factor(strength / 2 * _sine(recording, hz))


def high_band_modulation(recording: Recording, strength: float, *, hz: float) -> Samples:
    """Level between 2 and 6 kHz alone that goes up and down, dB from peak to trough."""
    bins = _bins(recording)
    high = _filtered(recording, ((bins >= 2_000) & (bins <= 6_000)).astype(float))
    return recording.waveform + high * (_factor(strength / 2 * _sine(recording, hz)) - 1)


def gain(recording: Recording, strength: float) -> Samples:
    """All of it louder by dB, or quieter."""
    return recording.waveform * 10 ** (strength / 20)


def level_step(recording: Recording, strength: float) -> Samples:
    """Step of dB, up or down, in the middle third; the mean of the level in dB stays."""
    n_samples, rng = len(recording.waveform), recording.rng
    after = np.arange(n_samples) >= rng.uniform(1 / 3, 2 / 3) * n_samples
    return recording.waveform * _factor(rng.choice([-1, 1]) * strength * (after - after.mean()))


def level_ramp(recording: Recording, strength: float) -> Samples:
    """Level that rises, or falls, evenly by dB from start to end; its mean in dB stays."""
    line = np.linspace(-0.5, 0.5, len(recording.waveform))
    return recording.waveform * _factor(recording.rng.choice([-1, 1]) * strength * line)


def dropouts(recording: Recording, strength: float, *, n_gaps: int, seconds: float) -> Samples:
    """Gaps, quieter by dB, at times by chance; they may follow each other, and do not overlap."""
    length = round(seconds * recording.sample_rate)
    room = len(recording.waveform) - n_gaps * length
    starts = np.sort(recording.rng.uniform(0, room, n_gaps)).astype(int) + length * np.arange(n_gaps)
    is_gap = np.zeros(len(recording.waveform))
    for start in starts:
        is_gap[start : start + length] = 1
    edge = round(0.002 * recording.sample_rate)
    return recording.waveform * _factor(-strength * ndimage.uniform_filter1d(is_gap, edge))


def missing_events(recording: Recording, strength: float) -> Samples:
    """The loudest events above 500 Hz, so many, lowered to the level of the quieter half of the recording."""
    spectrum = _frames(recording.waveform)
    power = ndimage.uniform_filter1d(np.abs(spectrum) ** 2, 9, axis=1) + 1e-30
    level = 10 * np.log10(power[:, round(500 * N_FFT / recording.sample_rate) :].sum(axis=1))
    middle = np.median(level)
    quiet = power[level <= middle].mean(axis=0)
    is_event, left = np.zeros(len(level), bool), level.copy()
    for _ in range(round(strength)):
        peak = int(left.argmax())
        labels, _ = ndimage.label(left > (left[peak] + middle) / 2)
        own = ndimage.binary_dilation(labels == labels[peak])
        is_event |= own
        left[own] = -np.inf
    factor = np.where(is_event[:, None], np.minimum(1, np.sqrt(quiet / power)), 1)
    return recording.waveform + _waveform((factor - 1) * spectrum, len(recording.waveform))


def respaced(recording: Recording, strength: float, *, kind: str) -> Samples:
    """Stretches of half a second shortened or lengthened by per cent at their quiet ends: the rhythm, not the pitch.

    ``kind`` is ``faster``, ``slower`` or ``irregular`` (each shortened or lengthened by chance).
    """
    quiet = _quiet_points(recording, 0.5)
    lengths = np.diff(quiet)
    signs = {"faster": -1, "slower": 1}.get(kind) or recording.rng.choice([-1, 1], len(lengths))
    changes = np.round(np.broadcast_to(signs, len(lengths)) * lengths * strength / 100).astype(int)
    pieces, start = [], 0
    for stop, change in zip(quiet[1:], changes, strict=True):
        if change > 0:
            pieces.append((start, int(stop)))
            start = int(stop) - change
        elif change < 0:
            pieces.append((start, int(stop) + change))
            start = int(stop)
    return _joined(recording, recording.waveform, [*pieces, (start, len(recording.waveform))])


def speed(recording: Recording, strength: float) -> Samples:
    """Faster by per cent, or slower, pitch and all; above the highest frequency that is left all stays as it was."""
    factor = 1 + strength / 100
    resampled = signal.resample(recording.waveform, round(len(recording.waveform) / factor))
    above = (_bins(recording) > factor * recording.sample_rate / 2).astype(float)
    return _joined(recording, resampled, [(0, len(resampled))]) + _filtered(recording, above)


def polarity(recording: Recording, strength: float) -> Samples:
    """Upside down, times the strength."""
    return -strength * recording.waveform


def all_pass(recording: Recording, strength: float) -> Samples:
    """Frequencies delayed against each other by so many milliseconds (root mean square), their levels untouched."""
    bins = _bins(recording)
    points = np.arange(0, recording.sample_rate / 2 + 200, 200)
    delay = np.interp(bins, points, recording.rng.standard_normal(len(points)))
    phase = 2 * np.pi * bins[1] * np.cumsum(delay - delay.mean()) * 1e-3 * strength / delay.std()
    return np.fft.irfft(np.fft.rfft(recording.waveform) * np.exp(-1j * phase), len(recording.waveform))


def _louder(recording: Recording, decibels: float, frames: slice, n_bands: int) -> Samples:
    """Frames in so many adjacent bands, chosen by chance, louder: their spectrum multiplied, and added up again."""
    filters = _filters(recording.sample_rate)
    band = int(recording.rng.integers(0, len(filters) - n_bands + 1))
    bands = slice(band, band + n_bands)
    spectrum = _frames(recording.waveform)
    chosen = np.zeros_like(spectrum)
    chosen[frames] = spectrum[frames] * (filters[bands] > 0).any(axis=0)
    return _raised(recording, _waveform(chosen, len(recording.waveform)), decibels, (frames, bands))


def _raised(recording: Recording, added: Samples, decibels: float, place: tuple[slice, slice]) -> Samples:
    """Waveform and so much of another that the log-mel rises by dB, in the mean of the frames and bands of a place."""
    frames, bands = place
    filters = _filters(recording.sample_rate)[bands]
    passed = slice(*np.flatnonzero(filters.any(axis=0))[[0, -1]] + [0, 1])
    filters = filters[:, passed].T
    spectra = (_frames(waveform)[frames, passed] for waveform in (recording.waveform, added))
    before, other = spectra
    constant, square = (np.abs(spectrum) ** 2 @ filters for spectrum in (before, other))
    linear = 2 * (before * other.conj()).real @ filters
    scale = np.sqrt(constant.mean() / square.mean())

    def missing(log_amplitude: float) -> float:
        amplitude = scale * np.exp(log_amplitude)
        power = constant + amplitude * linear + amplitude**2 * square
        return float(10 * np.log10(np.maximum(power, 1e-300) / np.maximum(constant, 1e-300)).mean()) - decibels

    return recording.waveform + scale * np.exp(optimize.brentq(missing, -9, 9, xtol=1e-4)) * added


def _frames(waveform: Samples) -> Spectrum:
    """Spectra of the frames of the package's log-mel, shape ``(frame, bin)``."""
    padded = np.pad(waveform, (N_FFT // 2, N_FFT - N_FFT // 2))
    return np.fft.rfft(sliding_window_view(padded, N_FFT)[: len(waveform) + 1 : HOP] * hann_window(N_FFT))


def _waveform(spectrum: Spectrum, n_samples: int) -> Samples:
    """Sum of the frames, whose windows overlap by half and so add to 1."""
    pieces = np.fft.irfft(spectrum, N_FFT)
    total = np.zeros((len(pieces) + 1, HOP))
    total[:-1] += pieces[:, :HOP]
    total[1:] += pieces[:, HOP:]
    return total.ravel()[N_FFT // 2 :][:n_samples]


@lru_cache
def _filters(sample_rate: int) -> Samples:
    return mel_filterbank(SETTINGS, sample_rate=sample_rate).astype(np.float64)


def _bins(recording: Recording) -> Samples:
    return np.fft.rfftfreq(len(recording.waveform), 1 / recording.sample_rate)


def _power(recording: Recording) -> tuple[Samples, Samples]:
    """Frequencies, 2 Hz apart, and mean power."""
    hz, power = signal.welch(recording.waveform, recording.sample_rate, nperseg=recording.sample_rate // 2)
    return hz, power + 1e-30


def _prominence(recording: Recording) -> tuple[Samples, Samples]:
    """Frequencies and height of the spectrum in dB above its median within 50 Hz."""
    hz, power = _power(recording)
    level = 10 * np.log10(power)
    return hz, level - ndimage.median_filter(level, 51)


def _strongest_tone(recording: Recording) -> float:
    """Frequency in Hz that stands out most."""
    hz, height = _prominence(recording)
    is_tone = (hz >= 40) & (hz <= 0.45 * recording.sample_rate)
    return float(hz[is_tone][height[is_tone].argmax()])


def _around(recording: Recording, hz: float) -> Samples:
    """Weight of each bin: 1 near a frequency, 0 away from it, and a slope between."""
    width = max(4.0, 0.005 * hz)
    return np.clip(2 - np.abs(_bins(recording) - hz) / width, 0, 1)


def _filtered(recording: Recording, weights: Samples) -> Samples:
    return np.fft.irfft(np.fft.rfft(recording.waveform) * weights, len(recording.waveform))


def _notched(recording: Recording, hz: float, decibels: float) -> Samples:
    return _filtered(recording, 1 - (1 - 10 ** (-decibels / 20)) * _around(recording, hz))


def _sine(recording: Recording, hz: float) -> Samples:
    return np.sin(2 * np.pi * hz * recording.moments + recording.rng.uniform(0, 2 * np.pi))


def _factor(decibels: Samples) -> Samples:
    return 10 ** (decibels / 20)


def _quiet_points(recording: Recording, seconds: float) -> NDArray[np.int64]:
    """Sample 0, and the quietest moment in the second half of each stretch of so many seconds."""
    block = round(0.01 * recording.sample_rate)
    n_blocks = len(recording.waveform) // block
    energy = (recording.waveform[: n_blocks * block].reshape(n_blocks, block) ** 2).sum(axis=1)
    size = round(seconds / 0.01)
    starts = range(size // 2, n_blocks - size, size)
    found = [start + energy[start : start + size // 2].argmin() for start in starts]
    return np.array([0, *found]) * block


def _joined(recording: Recording, source: Samples, pieces: list[tuple[int, int]]) -> Samples:
    """Pieces of a source, one after the other, as long as the recording: from the start again, or cut, at its end.

    A piece begins up to 5 ms earlier or later, where it goes on best from the one before, so that tones do not jump.
    """
    n_samples, shift = len(recording.waveform), round(0.005 * recording.sample_rate)
    fade = 4 * shift
    rising = np.sin(np.linspace(0, np.pi / 2, fade))
    end = len(source) - fade  # so that there is something to fade out
    found: list[Samples] = []
    length = last = 0
    for start, stop in [*pieces, (0, end)]:
        if found and length < n_samples:
            before = source[last : last + fade]
            near = sliding_window_view(source[max(0, start - shift) : start + shift + fade], fade)
            alike = near @ before / np.sqrt((near**2).sum(axis=1) * (before**2).sum() + 1e-30)
            best = int(alike.argmax())
            mixed = rising * near[best] + rising[::-1] * before
            found.append(mixed / np.sqrt(1 + 2 * alike[best] * rising * rising[::-1]))  # of the power of either
            start = max(0, start - shift) + best + fade
        last = min(stop, end)
        found.append(source[start:last])
        length = sum(map(len, found))
    return np.concatenate(found)[:n_samples]

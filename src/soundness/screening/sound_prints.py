r"""Sound prints: the fine structure of a log-mel in one sign for each of 16 groups of bands and each frame.

A clip's log-mel less its mean over neighbouring frames and bands is what its noise happened to be: independent
recordings of one machine, however periodic, do not share it, and copies do, whatever their gain, container or coding.
The correlation of two clips whose frames lie half a hop apart is spread over two neighbouring lags, so the two are
added: the sum is near 1 for shared sound, near 0.7 for a lossy copy, and below 0.2 between independent recordings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LONGEST_PRINT",
    "N_GROUPS",
    "Match",
    "SoundPrint",
    "confirmed",
    "find_shared",
    "pack_prints",
    "sound_print",
    "unpack_prints",
]

N_GROUPS = 16
"""Groups of bands, each of which gives one sign a frame."""

LONGEST_PRINT = 512
"""Frames of a print that are kept, and that are compared at once."""

SoundPrint = NDArray[np.int8]
"""Signs, shape ``(group, frame)``; 0 in frames where nothing moves, as in digital silence."""

_NEIGHBORHOOD = 9  # frames whose mean is taken away
_SIGNS = np.array(
    [1, -1, -1, 1, -1, 1, 1, -1], np.float32
)  # of Thue and Morse: no level, slope or bend of the spectrum
_SMALLEST_DB = 0.05  # what moves less is rounding
_FEWEST_FRAMES = 16  # shared, and a tenth of the shorter clip: less hardly makes two clips alike
_SMALLEST_SHARE = 0.1
_CANDIDATE = 9.0  # sum of two correlations, in units of one over the root of their samples
_LEAST_SUM = 0.6  # of the agreement at two neighbouring lags
_CERTAIN_FRAMES = 40  # with fewer, chance agrees more, and so more agreement is asked for
_LEAST_QUARTILE = 0.36
_LENGTH_CLASS = 32  # frames; segments that differ less are compared as if they did not
_ROWS = 16  # clips compared with all others at a time, for memory
_MOST_CANDIDATES = 30  # for each clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Sound that two clips share.

    Parameters
    ----------
    first, second
        Indices of the clips.
    lag
        Frame of the first clip at which the second begins, to the nearest; negative where the second began earlier.
    n_frames
        Frames that both hold.
    agreement
        Sum of the correlations at two neighbouring lags.
    """

    first: int
    second: int
    lag: int
    n_frames: int
    agreement: float


def sound_print(log_mel: NDArray[np.floating]) -> SoundPrint:
    """Sound print of a log-mel in dB, shape ``(mel, frame)``."""
    fine = _less_mean(_group_weights(len(log_mel)) @ log_mel.astype(np.float32))
    moves = np.abs(fine).max(axis=0) > _SMALLEST_DB
    found: SoundPrint = (np.where(fine >= 0.0, 1, -1) * moves).astype(np.int8)
    return found


@cache
def _group_weights(n_bands: int) -> NDArray[np.float32]:
    """Weight of each band in each group, shape ``(group, mel)``."""
    groups = np.array_split(np.arange(n_bands), min(N_GROUPS, n_bands))
    weights = np.zeros((len(groups), n_bands), np.float32)
    for group, bands in enumerate(groups):
        signs = _SIGNS[np.arange(len(bands)) % len(_SIGNS)]
        weights[group, bands] = signs - signs.mean() if len(bands) > 1 else signs
    return weights


def find_shared(prints: Sequence[SoundPrint], others: Sequence[SoundPrint] | None = None) -> list[Match]:
    """Pairs of clips that share sound, at any offset.

    Parameters
    ----------
    prints
        Clips.
    others
        Clips that they are compared with; ``None`` compares them with each other, each pair once.
    """
    segments = _Segments.from_prints(prints)
    if segments is None:
        return []
    against = segments if others is None else _Segments.from_prints(others)
    if against is None:
        return []
    best: dict[tuple[int, int], Match] = {}
    for row, column, lag in _candidates(segments, against, is_same=others is None):
        first, second = int(segments.clips[row]), int(against.clips[column])
        if others is None and first >= second:
            continue
        whole = int(segments.starts[row] - against.starts[column]) + lag
        match = confirmed(prints, prints if others is None else others, (first, second), whole)
        if match is not None and ((first, second) not in best or best[first, second].n_frames < match.n_frames):
            best[first, second] = match
    return [best[pair] for pair in sorted(best)]


def pack_prints(prints: Sequence[SoundPrint]) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Prints in few bytes, up to 512 frames of each.

    Returns
    -------
    tuple
        Signs as bits, shape ``(clip, frame)``, and a bit for each frame that has signs, shape ``(clip, byte)``.
    """
    length = min(LONGEST_PRINT, max((own.shape[1] for own in prints), default=0))
    signs, is_there = np.zeros((len(prints), length), np.int16), np.zeros((len(prints), length), np.bool_)
    for index, own in enumerate(prints):
        cut = own[:, :length]
        weights = (1 << np.arange(len(cut))).astype(np.uint16)
        signs[index, : cut.shape[1]] = ((cut > 0) * weights[:, None]).sum(axis=0).astype(np.uint16).view(np.int16)
        is_there[index, : cut.shape[1]] = (cut != 0).any(axis=0)
    return signs, np.packbits(is_there, axis=1)


def unpack_prints(signs: NDArray[np.int16], is_there: NDArray[np.uint8], *, n_bands: int) -> list[SoundPrint]:
    """Prints from `pack_prints` of log-mels of so many bands, up to the last frame that has signs."""
    n_groups = min(N_GROUPS, n_bands)
    there = np.unpackbits(is_there, axis=1, count=signs.shape[1]).astype(np.int8)
    bits = (signs.view(np.uint16)[:, None] >> np.arange(n_groups, dtype=np.uint16)[:, None]) & 1
    lengths = (there * np.arange(1, 1 + signs.shape[1])).max(axis=1, initial=0)
    found = (2 * bits.astype(np.int8) - 1) * there[:, None]
    return [own[:, :length] for own, length in zip(found, lengths, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segments:
    """Prints cut into pieces of a length that is transformed at once.

    ``signs`` has the shape ``(segment, group, frame)``; ``clips`` and ``starts`` are the clip of each and its first
    frame there.
    """

    signs: NDArray[np.int8]
    lengths: NDArray[np.int64]
    clips: NDArray[np.int64]
    starts: NDArray[np.int64]

    def of_length(self) -> list[tuple[int, NDArray[np.int64]]]:
        """Indices of the segments of about each length, with that length at most."""
        classes = -(-self.lengths // _LENGTH_CLASS)
        return [
            (int(self.lengths[classes == each].max()), np.flatnonzero(classes == each)) for each in np.unique(classes)
        ]

    @classmethod
    def from_prints(cls, prints: Sequence[SoundPrint]) -> "_Segments | None":
        places = [
            (clip, start, min(LONGEST_PRINT, own.shape[1] - start))
            for clip, own in enumerate(prints)
            for start in range(0, own.shape[1], LONGEST_PRINT)
            if own.shape[1] - start >= _FEWEST_FRAMES
        ]
        if not places:
            return None
        clips, starts, lengths = (np.array(values, np.int64) for values in zip(*places, strict=True))
        n_groups = max(len(own) for own in prints)
        signs = np.zeros((len(places), n_groups, int(lengths.max())), np.int8)
        for index, (clip, start, length) in enumerate(places):
            signs[index, : len(prints[clip]), :length] = prints[clip][:, start : start + length]
        return cls(signs=signs, lengths=lengths, clips=clips, starts=starts)


def _less_mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values less their mean over the neighbouring frames."""
    before = _NEIGHBORHOOD // 2
    sums = np.cumsum(np.pad(values, ((0, 0), (before + 1, before)), mode="edge"), axis=1, dtype=np.float64)
    means: NDArray[np.float32] = ((sums[:, _NEIGHBORHOOD:] - sums[:, :-_NEIGHBORHOOD]) / _NEIGHBORHOOD).astype(
        np.float32
    )
    return values - means


def _candidates(segments: _Segments, against: _Segments, *, is_same: bool) -> Iterator[tuple[int, int, int]]:
    """Pairs of segments that may share sound, and the lag, most likely ones first."""
    size = _fast_length(segments.signs.shape[2] + against.signs.shape[2])
    first = _spectra(segments.signs, size)
    second = np.ascontiguousarray((first if is_same else _spectra(against.signs, size)).conj().transpose(0, 2, 1))
    least = _CANDIDATE * float(np.sqrt(segments.signs.shape[1]))
    found: list[tuple[float, int, int, int]] = []
    for first_length, rows in segments.of_length():
        for second_length, columns in against.of_length():
            if is_same and second_length > first_length:
                continue
            lags, weights = _weights(first_length, second_length)
            for start in range(0, len(rows), _ROWS):
                here = rows[start : start + _ROWS]
                there = columns[columns >= here[0]] if is_same and second_length == first_length else columns
                is_range = there[-1] - there[0] + 1 == len(there)  # which needs no copy
                conjugate = second[..., there[0] : there[-1] + 1] if is_range else second[..., there]
                products = np.matmul(first[:, here], conjugate)
                sums = np.fft.irfft(products, size, axis=0)  # (lag, row, column)
                both = np.concatenate([sums[size + lags[0] :], sums[: lags[-1] + 2]])  # negative lags are at the end
                both = (both[:-1] + both[1:]) * weights[:, None, None]
                best = both.argmax(axis=0)
                scores = np.take_along_axis(both, best[None], axis=0)[0]
                for row, column in np.argwhere(scores > least):
                    lag = int(lags[best[row, column]])
                    found.append((-float(scores[row, column]), int(here[row]), int(there[column]), lag))
    found.sort()
    return ((row, column, lag) for _, row, column, lag in found[: _MOST_CANDIDATES * len(segments.signs)])


def _spectra(signs: NDArray[np.int8], size: int) -> NDArray[np.complex64]:
    """Spectra of signs, shape ``(frequency, segment, group)``."""
    spectra = np.fft.rfft(signs.astype(np.float32), size).astype(np.complex64)
    return np.ascontiguousarray(spectra.transpose(2, 0, 1))


def _weights(first: int, second: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Lags of two segments that are long enough together, and one over the root of that length."""
    fewest = max(_FEWEST_FRAMES, round(_SMALLEST_SHARE * min(first, second)))
    lags = np.arange(min(0, fewest - second), max(1, first - fewest))
    overlaps = np.minimum(first, second + lags) - np.maximum(0, lags)
    return lags, (1.0 / np.sqrt(np.maximum(overlaps, 1))).astype(np.float32)


def confirmed(
    prints: Sequence[SoundPrint], others: Sequence[SoundPrint], pair: tuple[int, int], lag: int
) -> Match | None:
    """Shared sound at a lag or the next, if the two clips agree there in most parts and not in a few.

    Parameters
    ----------
    prints, others
        Clips, of which the pair is one each.
    pair
        Index in ``prints`` and in ``others``.
    lag
        Frame of the first at which the second begins.
    """
    first, second = prints[pair[0]], others[pair[1]]
    parts = []
    for shift in (lag, lag + 1):
        length = min(first.shape[1] - max(0, shift), second.shape[1] - max(0, -shift))
        if length < 1:
            return None
        product = first[:, max(0, shift) :][:, :length] * second[:, max(0, -shift) :][:, :length]
        parts.append(product)
    n_there = [int((part != 0).any(axis=0).sum()) for part in parts]
    if min(n_there) < _FEWEST_FRAMES:
        return None
    agreements = [float(_correlation(part.sum(dtype=np.float64) / np.count_nonzero(part))) for part in parts]
    if sum(agreements) < _LEAST_SUM * np.sqrt(max(1.0, _CERTAIN_FRAMES / min(n_there))):
        return None
    n_frames = min(part.shape[1] for part in parts)
    local = sum(_local(part[:, :n_frames]) for part in parts)
    if float(np.quantile(local, 0.25)) < _LEAST_QUARTILE:
        return None
    nearest = int(np.argmax(agreements))
    return Match(
        first=pair[0],
        second=pair[1],
        lag=lag + nearest,
        n_frames=parts[nearest].shape[1],
        agreement=sum(agreements),
    )


def _local(product: NDArray[np.int8]) -> NDArray[np.float64]:
    """Correlation in parts of the bands and of the time."""
    means = [
        part.sum(dtype=np.float64) / max(1, np.count_nonzero(part))
        for band in np.array_split(product, 4)
        for part in np.array_split(band, min(6, product.shape[1]), axis=1)
    ]
    return _correlation(np.array(means))


def _correlation(agreement: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Correlation of two Gaussian values whose signs have this mean product."""
    found: NDArray[np.float64] = np.sin(np.pi / 2 * np.asarray(agreement))
    return found


def _fast_length(least: int) -> int:
    """Length of a transform, a power of two times 1, 3 or 5."""
    powers = 2 ** np.arange(25)
    sizes = np.concatenate([powers, 3 * powers, 5 * powers])
    return int(sizes[sizes >= least].min())

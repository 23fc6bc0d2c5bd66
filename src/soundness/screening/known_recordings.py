"""Recordings that are known by their sound prints, so that each is recognised under another name."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soundness.screening.dependence import COPY_FRAMES, is_copy
from soundness.screening.sound_prints import Match, SoundPrint, confirmed, find_shared, sound_print

__all__ = ["KnownRecordings"]

_MOST_TRIED = 3
_LEAST_AGREEMENT = 0.3  # of the signs at two neighbouring lags together, before the whole is compared


class KnownRecordings:
    """Sound prints of recordings, arranged so that a copy of one is found at once.

    Parameters
    ----------
    prints
        Print of each recording.
    means
        Mean of each band over time, dB, shape ``(recording, mel)``.
    """

    def __init__(self, prints: Sequence[SoundPrint], means: NDArray[np.floating]) -> None:
        self.prints = prints
        self.means = means
        length = max((own.shape[1] for own in prints), default=0)
        n_groups = max((len(own) for own in prints), default=0)
        self._signs = np.zeros((len(prints), n_groups, length), np.float32)
        for index, own in enumerate(prints):
            self._signs[index, : len(own), : own.shape[1]] = own

    def copy_of(self, own: SoundPrint, mean: NDArray[np.floating]) -> int | None:
        """Index of the recording that one is a copy of, by its print and the mean of its bands; ``None`` if of none.

        A recording to which something was added, such as the sound of a fault, is no copy.
        """
        n_known, n_groups, length = self._signs.shape
        if n_known == 0 or not own.any():
            return None
        lags = range(-COPY_FRAMES - 1, COPY_FRAMES + 2)
        queries = np.zeros((len(lags), n_groups, length), np.float32)
        for row, lag in enumerate(lags):
            own_part = own[:, max(0, -lag) :][:, : max(0, length - max(0, lag))]
            queries[row, : len(own), max(0, lag) :][:, : own_part.shape[1]] = own_part
        sums = self._signs.reshape(n_known, -1) @ queries.reshape(len(lags), -1).T  # (known, lag)
        both = (sums[:, 1:] + sums[:, :-1]) / max(1, int((own != 0)[:, :length].sum()))
        best = both.max(axis=1)
        for index in np.argsort(-best, kind="stable")[:_MOST_TRIED]:
            lag = lags[int(both[index].argmax())]
            cut = own[:, :length]
            match = confirmed(self.prints, [cut], (int(index), 0), lag) if best[index] > _LEAST_AGREEMENT else None
            if match is not None and is_copy(
                match, [self.prints[index], cut], [self.means[index], mean], is_second_copy=True
            ):
                return int(index)
        return None

    def copy_of_log_mel(self, log_mel: NDArray[np.float32]) -> int | None:
        """Index of the recording that one is a copy of, by its log-mel in dB, ``(mel, frame)``; see `copy_of`."""
        return self.copy_of(sound_print(log_mel), log_mel.mean(axis=1, dtype=np.float64))

    def shared_with(self, prints: Sequence[SoundPrint]) -> list[Match]:
        """Pairs of these recordings (first) and others (second) that share sound."""
        return find_shared(self.prints, prints)

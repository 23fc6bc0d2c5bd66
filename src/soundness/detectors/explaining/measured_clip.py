"""A clip, measured in its own terms, and places in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from soundness.aliases import Array
from soundness.audio.anomalous_regions import AnomalousRegion, band_edges
from soundness.audio.log_mel import Spectrograms, band_centres
from soundness.representations.statistics import PooledLogMel
from soundness.representations.views.events import median_differences
from soundness.scoring.joining.joined import Peak
from soundness.settings.fields import ViewName

if TYPE_CHECKING:  # it uses this module
    from soundness.detectors.detector import Detector

__all__ = ["CLEAR_DEVIATIONS", "MeasuredClip", "PeakPlace", "clip_threshold"]

CLEAR_DEVIATIONS = 3.0
"""Deviations above normal of the largest value of a clip, which normal clips hardly reach."""


def clip_threshold(detector: "Detector", clip: Spectrograms) -> float:
    """Score above which a clip of its length is anomalous: that of short clips is higher."""
    n_samples = clip.reference.shape[1] * detector.settings.log_mel.hop_length
    return detector.judge.clip_threshold(n_samples / detector.settings.audio.sample_rate)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeakPlace:
    """Place of a peak.

    Parameters
    ----------
    change
        Description, with times and bands.
    weights
        Share of each band and frame, never negative, shape ``(mel, frame)``; their sum is 1.
    test
        Index of the test whose features show the place.
    """

    change: AnomalousRegion
    weights: Array
    test: int = -1


class MeasuredClip:
    """A clip, and what its places are measured with."""

    def __init__(self, detector: "Detector", representation: PooledLogMel, clip: Spectrograms) -> None:
        self.settings, self.representation, self.clip = detector.settings, representation, clip
        self.log_mel = clip.reference.astype(np.float64)
        self.differences = median_differences(clip.reference).astype(np.float64)
        self.edges = band_edges(band_centres(self.settings.log_mel))
        self.frame_seconds = self.settings.frame_seconds

    def view(self, peak: Peak) -> ViewName | None:
        """Name of the view that a peak lies in; ``None`` where its features are bands."""
        index = peak.view - self.representation.n_band_views
        return None if index < 0 else self.representation.views[index]

    def is_short(self, peak: Peak) -> bool:
        """True for a peak of short rises or falls."""
        return self.view(peak) in ("events", "dropouts")

    @property
    def seconds(self) -> float:
        return float(self.log_mel.shape[1] * self.frame_seconds)

    @property
    def n_bands(self) -> int:
        return len(self.log_mel)

    def bands_between(self, low: float, high: float) -> tuple[int, int]:
        """First and last band that reach between two frequencies."""
        first = int(np.searchsorted(self.edges[1:-1], low, side="right"))
        last = int(np.searchsorted(self.edges[1:-1], high, side="left"))
        return first, max(first, last)

    def even_weights(self, bands: tuple[int, int]) -> Array:
        """Weights that are the same in all frames of some bands."""
        weights = np.zeros(self.log_mel.shape)
        weights[bands[0] : bands[1] + 1] = 1.0 / ((bands[1] + 1 - bands[0]) * len(weights[0]))
        return weights

    def spans(self, runs: Sequence[tuple[int, int]]) -> tuple[tuple[float, float], ...]:
        """Start and end in seconds of runs of frames, which are centred on their times."""
        return tuple(
            (max(0.0, (start - 0.5) * self.frame_seconds), (end - 0.5) * self.frame_seconds) for start, end in runs
        )

    def centre(self, band: int) -> float:
        return float(band_centres(self.settings.log_mel)[band])

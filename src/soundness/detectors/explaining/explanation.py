"""Explanation of a score: deviation from normal of each band and frame, and its share in the score. No files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.audio.anomalous_regions import AnomalousRegion, find_regions, reason
from soundness.audio.log_mel import Spectrograms, band_centres
from soundness.detectors.explaining.changes import is_part_of, listed
from soundness.detectors.explaining.measured_clip import clip_threshold
from soundness.detectors.explaining.peaks import places_of
from soundness.errors import SettingsError
from soundness.representations.statistics import MeanLogMel, PooledLogMel
from soundness.scoring.baselines import MahalanobisScorer, MeanScorer
from soundness.scoring.joining.fused import FusedScorer
from soundness.scoring.joining.joined import JoinedScorer
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.settings.scoring import PeakKind

if TYPE_CHECKING:  # it uses this module
    from soundness.detectors.detector import Detector

__all__ = ["BandRepresentation", "Explanation", "explain_clip", "reason_of", "regions_of"]

_SMOOTHED_SECONDS = 0.1
_MOST_SAID = 2  # changes, in the reason of a score
_ROUNDING = 1e-15  # what is left of a clip that is compared with itself
_OVER_TIME = (
    "The share of a band is spread over time in proportion to the deviation from normal, on the side of the band's "
    "mean; the bars below are the sums over all bands."
)
_NAMES: dict[PeakKind, str] = {
    "event": "short events",
    "dropout": "dropouts",
    "modulation": "modulation",
    "tone": "tones",
}


@runtime_checkable
class BandRepresentation(Protocol):
    """Representation whose features are bands, in one or several views of a clip, and have a scale."""

    @property
    def band_deviations(self) -> NDArray[np.float32]:
        """Deviation of each band over all training frames, dB, shape ``(mel,)``."""

    def deviation_map(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Signed difference of a clip from normal, in the band's deviations, shape ``(mel, frame)``."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Explanation of a clip's score.

    Parameters
    ----------
    log_mel
        Log-mel that is scored, dB, shape ``(mel, frame)``.
    deviations
        Difference from normal in deviations of the band's normal frames, shape ``(mel, frame)``: above (positive) or
        below; the error map if the representation has no sign.
    excess_db
        The same in dB; ``None`` if the representation has no sign.
    shares
        Share of each band and frame in the total, never negative, shape ``(mel, frame)``.
    total
        Sum of the shares.
    meaning
        Meaning of the total, in words.
    normality
        Reference of `deviations`, in words.
    nearest
        Indices of the nearest normal clips, nearest first.
    nearest_by
        Measure by which they are the nearest, in words.
    spreading
        Way in which the shares lie over time, in words.
    changes
        Changes that tests beside the sound as a whole found, each of which makes the clip anomalous on its own; the one
        that gave the score is first. Where it is of one of these tests, what the sound as a whole shows is the last.
    is_of_change
        True if the first of them gave the score, and the shares are of it.
    tests
        What each test found, in words; empty where there is one test alone.
    """

    log_mel: NDArray[np.float32]
    deviations: Array
    excess_db: Array | None
    shares: Array
    total: float
    meaning: str
    normality: str
    nearest: NDArray[np.int64]
    nearest_by: str
    spreading: str = _OVER_TIME
    changes: tuple[AnomalousRegion, ...] = ()
    is_of_change: bool = False
    tests: str = ""

    @property
    def bands(self) -> Array:
        """Share of each band, shape ``(mel,)``."""
        shares: Array = self.shares.sum(axis=1)
        return shares

    @property
    def frames(self) -> Array:
        """Share of each frame, shape ``(frame,)``."""
        shares: Array = self.shares.sum(axis=0)
        return shares


def explain_clip(
    detector: "Detector", clip: Spectrograms, *, vectors: Array | None = None, n_nearest: int = 1
) -> Explanation:
    """Explain a clip's score.

    The share of a band is spread over its frames in proportion to their difference from normal, on the side of the
    band's mean; so the shares of bands and frames have the same sum as those of the bands.

    Parameters
    ----------
    detector
        Detector of any system.
    clip
        Spectrograms from `Detector.spectrograms`.
    vectors
        Their vectors, shape ``(condition, feature)``; ``None`` to compute them.
    n_nearest
        Number of normal clips to find.
    """
    vectors = detector.vectors(clip) if vectors is None else vectors
    nearest, nearest_by = _nearest(detector, clip, vectors, n_nearest)
    deviations, excess_db, normality = _deviations(detector, clip, nearest)
    bands, meaning = _bands(detector, vectors, deviations)
    bands = bands if bands.sum() > _ROUNDING else np.zeros_like(bands)
    weights = _weights(deviations, n_smoothed=max(1, round(_SMOOTHED_SECONDS / detector.settings.frame_seconds)))
    explanation = Explanation(
        log_mel=clip.reference,
        deviations=deviations,
        excess_db=excess_db,
        shares=bands[:, None] * weights,
        total=float(bands.sum()),
        meaning=meaning,
        normality=normality,
        nearest=nearest,
        nearest_by=nearest_by,
    )
    if not isinstance(detector.scorer, JoinedScorer):
        return explanation
    return _with_tests(explanation, detector.scorer, vectors, detector=detector, clip=clip)


def _with_tests(
    explanation: Explanation, scorer: JoinedScorer, vectors: Array, *, detector: "Detector", clip: Spectrograms
) -> Explanation:
    """The same of a scorer of several tests: shares are of the test that gave the score."""
    nats, order = scorer.findings(vectors)
    threshold = clip_threshold(detector, clip)
    found = [index for index in order if index == order[0] or nats[index] > threshold]
    beside = [index - 1 for index in found if index > 0]
    places = places_of(detector, clip, vectors, scorer=scorer, found=beside)
    tests = _tests_in_words(scorer, found, [1 + place.test for place in places])
    whole = regions_of(detector, explanation)[:1] if places and 0 in found else []
    seconds = explanation.deviations.shape[1] * detector.settings.frame_seconds
    parts = [any(is_part_of(place.change, region, seconds=seconds) for region in whole) for place in places]
    own = [place for place, is_part in zip(places, parts, strict=True) if not is_part]
    explained = replace(explanation, changes=tuple(place.change for place in own), tests=tests)
    if order[0] == 0 or not places or parts[0]:
        return explained
    total, first = max(float(nats.max()), 0.0), places[0]
    return replace(
        explained,
        changes=(*explained.changes, *whole),
        shares=total * first.weights,
        total=total,
        meaning="shares of the score, by the test that gave it",
        spreading=_spreading(first.change),
        is_of_change=True,
    )


def _spreading(change: AnomalousRegion) -> str:
    if change.spans:
        return f"The shares lie at the times and bands of the change ({change.name}), and nowhere else."
    return (
        f"The shares lie in the bands of the change ({change.name}), evenly over time; frames and bands of the map may "
        f"be too wide to show it."
    )


def reason_of(detector: "Detector", explanation: Explanation, *, start_seconds: float = 0.0) -> str:
    """Describe what is most anomalous in an explained clip, which begins so many seconds after the recording."""
    changes = [str(change.later(start_seconds)) for change in explanation.changes]
    if explanation.is_of_change:
        return "; ".join(changes[:_MOST_SAID])
    regions = [region.later(start_seconds) for region in regions_of(detector, explanation)]
    return "; ".join([reason(regions[:1]), changes[0]]) if changes else reason(regions)


def _tests_in_words(scorer: JoinedScorer, found: Sequence[int], shown_by: Sequence[int]) -> str:
    """Test that gave the score, those that call the clip anomalous, too, and those that found nothing.

    Parameters
    ----------
    scorer
        Scorer of the tests.
    found
        Indices of the tests that found something, the sound as a whole at 0, the one that gave the score first.
    shown_by
        Indices of those whose features show where it is.
    """
    names = ["the sound as a whole", *(_NAMES[peak.settings.kind] for peak in scorer.peaks)]
    through = [names[index] for index in shown_by[:1] if found[0] > 0 and index != found[0]]
    words = [
        f"Of {len(names)} tests, that of {names[found[0]]} gave the score"
        + "".join(f", because of {own}" for own in through)
    ]
    also = [names[index] for index in found[1:] if names[index] not in through]
    others = [name for index, name in enumerate(names) if index not in found and name not in through]
    if also:
        words.append(f"{'that' if len(also) == 1 else 'those'} of {listed(also)} found something, too")
    if others:
        words.append(f"{'that' if len(others) == 1 else 'those'} of {listed(others)} found nothing")
    return "; ".join(words) + "."


def regions_of(detector: "Detector", explanation: Explanation) -> list[AnomalousRegion]:
    """Anomalous regions of an explained clip, the strongest first; the changes alone where one gave the score."""
    if explanation.is_of_change:
        return list(explanation.changes)
    return find_regions(
        explanation.shares,
        explanation.excess_db,
        deviations=explanation.deviations,
        centres=band_centres(detector.settings.log_mel),
        frame_seconds=detector.settings.frame_seconds,
    )


def _nearest(detector: "Detector", clip: Spectrograms, vectors: Array, n_clips: int) -> tuple[NDArray[np.int64], str]:
    is_whole = isinstance(detector.scorer, JoinedScorer)  # whose score may be that of another test
    measure = "by the sound as a whole" if is_whole else "by the distance that the score is made of"
    try:
        return detector.scorer.nearest(vectors, n_clips), measure
    except SettingsError:
        if detector.normal_clips is None:
            return np.zeros(0, np.int64), "the detector keeps no normal clips"
        level = clip.reference.mean(axis=-1, dtype=np.float64)
        return detector.normal_clips.nearest(level, n_clips), "by mean log-mel, since the scorer compares no clips"


def _deviations(
    detector: "Detector", clip: Spectrograms, nearest: NDArray[np.int64]
) -> tuple[Array, Array | None, str]:
    """Deviations from normal, the same in dB, and their reference in words."""
    representation = detector.representation
    if not isinstance(representation, BandRepresentation):
        errors = representation.error_map(clip).astype(np.float64)
        return errors, None, f"errors as the representation {detector.settings.representation!r} gives them"
    scale = representation.band_deviations.astype(np.float64)[:, None]
    if not isinstance(representation, MeanLogMel):
        found = representation.deviation_map(clip).astype(np.float64)
        return found, found * scale, "the reconstruction of the network"
    kept = detector.normal_clips
    if kept is None or not len(nearest):
        found = representation.deviation_map(clip).astype(np.float64)
        return found, found * scale, "the mean of all training frames"
    level = kept.means[nearest].astype(np.float64).mean(axis=0)
    excess = clip.reference.astype(np.float64) - level[:, None]
    return excess / scale, excess, "the level of the nearest normal clip"


def _bands(detector: "Detector", vectors: Array, deviations: Array) -> tuple[Array, str]:
    """Share of each band, and the meaning of their sum in words."""
    representation, n_bands = detector.representation, len(deviations)
    n_features = vectors.shape[1]
    if isinstance(representation, PooledLogMel):  # whose further views have no bands
        n_features = representation.n_band_views * n_bands
    if isinstance(representation, BandRepresentation) and n_features % n_bands == 0:
        try:
            shares = detector.scorer.contributions(vectors)
        except SettingsError:
            shares = None
        if shares is not None:
            return shares[:n_features].reshape(-1, n_bands).sum(axis=0), _meaning(detector, n_features // n_bands)
    is_signed = isinstance(representation, BandRepresentation)
    errors = np.square(deviations) if is_signed else np.abs(deviations)
    return errors.mean(axis=1), "not parts of the score, which has no parts by band: the mean of the map over time"


def _meaning(detector: "Detector", n_views: int) -> str:
    scorer = detector.scorer
    views = f" of {n_views} views of the clip together" if n_views > 1 else ""
    if isinstance(scorer, MeanScorer | MahalanobisScorer):
        return f"parts of the score: they add up to it{views}"
    if isinstance(scorer, FusedScorer | JoinedScorer):
        return f"not parts of the score: squared distances{views}, each in what is usual among normal clips"
    if isinstance(scorer, NearestNeighborScorer):
        settings = scorer.settings
        of = "" if settings.whitening == "none" else ", whitened,"
        of = of if scorer.bank.settings.anomaly_width == 0.0 else ", by the likelihood ratio of expected changes,"
        where = {
            "nearest": "the nearest normal clip"
            if settings.n_neighbors == 1
            else f"the {settings.n_neighbors} nearest normal clips, on average,",
            "mahalanobis": "the mean of the normal clips",
        }.get(settings.distance)
        if where is not None:
            return (
                f"parts of the squared distance{of} from {where} which the score is made of{views}: they add up to it"
            )
        if settings.distance == "density-ratio":
            return (
                f"parts of the squared distance{of} from the normal clip which gives the score{views}: they add up to "
                f"it, before it is compared with how densely normal clips lie there"
            )
    return f"shares as the scorer {detector.settings.scorer.name!r} gives them{views}"


def _weights(deviations: Array, *, n_smoothed: int) -> Array:
    """Weights that spread the share of each band over time, shape ``(mel, frame)``; each band's sum is 1."""
    side = np.where(deviations.mean(axis=1, keepdims=True) < 0, -1.0, 1.0)
    excess = np.maximum(side * smoothed(deviations, n_smoothed), 0.0)
    total = excess.sum(axis=1, keepdims=True)
    even = np.full(excess.shape, 1.0 / excess.shape[1])
    return np.where(total > 0, excess / np.where(total > 0, total, 1.0), even)


def smoothed(values: NDArray[np.floating[Any]], n_frames: int) -> Array:
    """Moving mean over ``n_frames`` frames, fewer at the ends, shape ``(..., frame)``."""
    n_frames = min(n_frames, values.shape[-1])
    before = n_frames // 2
    edges = np.clip(np.arange(-before, values.shape[-1] - before + n_frames)[:, None], 0, values.shape[-1])[:, 0]
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1, dtype=np.float64)], axis=-1)
    starts, ends = edges[: values.shape[-1]], edges[n_frames : n_frames + values.shape[-1]]
    found: Array = (sums[..., ends] - sums[..., starts]) / (ends - starts)
    return found

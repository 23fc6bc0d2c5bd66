"""Metrics of the challenge, beside those of scikit-learn and worked out by hand."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from scored import (
    Clips,
    clips_with_both_labels,
)
from soundness.errors import ScoresError
from soundness.evaluation.metrics import harmonic_mean, partial_auc, roc_auc


def columns(clips: Clips) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = np.array(clips).T
    return labels, scores.astype(np.float64)


@settings(deadline=None)
@given(clips_with_both_labels)
def test_the_auc_is_that_of_scikit_learn(clips: Clips) -> None:
    labels, scores = columns(clips)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@settings(deadline=None)
@given(clips_with_both_labels, st.floats(0.01, 0.99))
def test_the_partial_auc_is_that_of_scikit_learn(clips: Clips, max_fpr: float) -> None:
    labels, scores = columns(clips)
    expected = roc_auc_score(labels, scores, max_fpr=max_fpr)
    assert partial_auc(labels, scores, max_fpr=max_fpr) == pytest.approx(expected, abs=1e-9)
    assert partial_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1), abs=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_are_those_of_scikit_learn_for_many_clips(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 5000)
    scores = np.round(rng.normal(labels, 1.0), 2)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert partial_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1), abs=1e-12)


@pytest.mark.parametrize("metric", [roc_auc, partial_auc])
@settings(deadline=None)
@given(clips=clips_with_both_labels)
def test_monotone_maps_change_nothing(metric: Callable[..., float], clips: Clips) -> None:
    labels, scores = columns(clips)
    assert metric(labels, np.exp(scores)) == pytest.approx(metric(labels, scores), abs=1e-12)
    assert metric(labels, scores**3 * 1e6 - 5) == pytest.approx(metric(labels, scores), abs=1e-12)


@settings(deadline=None)
@given(clips_with_both_labels)
def test_negated_scores_have_the_complementary_auc(clips: Clips) -> None:
    labels, scores = columns(clips)
    assert roc_auc(labels, -scores) == pytest.approx(1 - roc_auc(labels, scores), abs=1e-12)
    assert roc_auc(1 - labels, scores) == pytest.approx(1 - roc_auc(labels, scores), abs=1e-12)


@settings(deadline=None)
@given(clips_with_both_labels)
def test_a_partial_auc_of_everything_is_the_auc(clips: Clips) -> None:
    labels, scores = columns(clips)
    assert partial_auc(labels, scores, max_fpr=1.0) == pytest.approx(roc_auc(labels, scores), abs=1e-12)


def test_the_auc_counts_pairs_and_ties_half() -> None:
    # normal 1, 2; anomalous 2, 0: pairs (2 > 1), (2 = 2), (0 < 1), (0 < 2) give 1.5 of 4.
    assert roc_auc([0, 0, 1, 1], [1, 2, 2, 0]) == 0.375


def test_a_partial_auc_worked_by_hand() -> None:
    # Ten normal clips, the highest above the second anomalous one: half are found at a false-positive rate
    # below 0.1, so the area is 0.05; (0.05 - 0.005) / (0.1 - 0.005) = 9 / 19; 0.5 * (1 + 9 / 19) = 14 / 19.
    labels = [1, 0, 1] + [0] * 9
    assert partial_auc(labels, range(12, 0, -1)) == pytest.approx(14 / 19, abs=1e-12)


@pytest.mark.parametrize("metric", [roc_auc, partial_auc])
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0], [1.0, 2.0], r"labels 0 and 1, both of them, got \[0\]"),
        ([], [], r"both of them, got \[\]"),
        ([0, 1, 2], [1.0, 2.0, 3.0], r"got \[0, 1, 2\]"),
        ([0, 1], [1.0, np.nan], "without NaN"),
        ([0, 1], [1.0], r"one shape \(clip,\), got \(2,\) and \(1,\)"),
    ],
)
def test_what_has_no_auc_is_refused(
    metric: Callable[..., float], labels: list[int], scores: list[float], message: str
) -> None:
    with pytest.raises(ScoresError, match=message):
        metric(labels, scores)


@pytest.mark.parametrize("max_fpr", [0.0, -0.1, 1.1, np.nan])
def test_a_false_positive_rate_lies_between_0_and_1(max_fpr: float) -> None:
    with pytest.raises(ScoresError, match="max_fpr must be above 0 and at most 1"):
        partial_auc([0, 1], [0.0, 1.0], max_fpr=max_fpr)


def test_a_harmonic_mean_is_floored_at_the_epsilon() -> None:
    assert harmonic_mean([0.5, 1.0, 0.25]) == pytest.approx(3 / 7)
    assert harmonic_mean([0.0, 1.0]) == pytest.approx(2 * np.finfo(float).eps)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dev", {"baseline-mse": 56.26, "baseline-mahalanobis": 55.34, "report-system": 61.87}),
        ("eval", {"baseline-mse": 54.43, "baseline-mahalanobis": 56.51}),
    ],
)
def test_harmonic_means_of_published_tables(published: Path, name: str, expected: dict[str, float]) -> None:
    with (published / f"dcase2025_{name}.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for system, score in expected.items():
        figures = [
            float(row[column])
            for row in rows
            if row["system"] == system
            for column in ("auc_source", "auc_target", "pauc")
        ]
        assert round(harmonic_mean(figures), 2) == score

"""Vectors that cannot be scored are refused."""

import numpy as np
import pytest

from soundness.errors import DataError
from soundness.scoring.protocol import TrainingVectors


@pytest.mark.parametrize(
    ("vectors", "domains", "message"),
    [
        (np.zeros(3), None, r"vectors of shape \(3,\); expected \(clip, feature\)"),
        (np.zeros((0, 3)), None, r"vectors of shape \(0, 3\)"),
        (np.array([[1.0], [np.nan]]), None, r"1 vector\(s\) are not finite"),
        (np.zeros((3, 2)), [0, 2, 2], r"domains \[0, 2\] of 3 clip\(s\); expected 0, 1"),
        (np.zeros((3, 2)), [0, 0], r"of 2 clip\(s\)"),
    ],
)
def test_vectors_that_cannot_be_scored_are_refused(vectors, domains, message):
    with pytest.raises(DataError, match=message):
        TrainingVectors.from_vectors(vectors, domains)


def test_views_are_as_large_as_a_vector():
    with pytest.raises(DataError, match=r"view_sizes \(2, 2\); expected at least 1 each, 5 features in all"):
        TrainingVectors.from_vectors(np.eye(5), view_sizes=(2, 2))

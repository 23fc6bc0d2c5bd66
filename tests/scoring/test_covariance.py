"""Shrinkage of a covariance, by scikit-learn."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage

from soundness.scoring import covariance


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (7, 7)])
def test_the_shrinkage_of_ledoit_and_wolf_is_scikit_learns(shape):
    vectors = np.random.default_rng(0).standard_normal(shape) @ np.diag(np.linspace(0.1, 4, shape[1]))
    centred = vectors - vectors.mean(axis=0)
    expected = ledoit_wolf_shrinkage(centred, assume_centered=True)
    assert covariance.ledoit_wolf_shrinkage(centred) == pytest.approx(expected, rel=1e-10)

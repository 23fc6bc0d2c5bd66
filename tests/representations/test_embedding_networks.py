"""The loss of the paper, by hand and by SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from soundness.representations.embedding_networks import (
    SubClusterCentres,
    adapted_scale,
    sub_cluster_loss,
)


def random_cosines(n_rows=6, n_classes=3, n_sub_clusters=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.dirichlet(np.ones(n_classes), size=n_rows)
    return rng.uniform(-1, 1, (n_rows, n_classes, n_sub_clusters)), labels


# The loss


def test_the_loss_is_scipys_cross_entropy_of_sub_cluster_likelihoods_added_up():
    cosines, labels = random_cosines()
    likelihoods = softmax(7.5 * cosines.reshape(6, 12), axis=1).reshape(cosines.shape).sum(axis=2)
    expected = -(labels * np.log(likelihoods)).sum(axis=1).mean()
    found = sub_cluster_loss(torch.from_numpy(cosines), torch.from_numpy(labels), scale=torch.tensor(7.5))
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_one_clip_by_hand():
    # Two classes of one centre each, cosines 1 and 0, scale log 3: likelihoods 3/4 and 1/4.
    cosines, scale = torch.tensor([[[1.0], [0.0]]]), torch.tensor(math.log(3))
    assert sub_cluster_loss(cosines, torch.tensor([[1.0, 0.0]]), scale=scale).item() == pytest.approx(math.log(4 / 3))
    mixture = sub_cluster_loss(cosines, torch.tensor([[0.5, 0.5]]), scale=scale).item()
    assert mixture == pytest.approx(0.5 * math.log(4 / 3) + 0.5 * math.log(4))


def test_the_loss_stays_finite_at_a_large_scale():
    cosines = torch.tensor([[[1.0], [-1.0]]])
    found = sub_cluster_loss(cosines, torch.tensor([[0.0, 1.0]]), scale=torch.tensor(1e4))
    assert found.item() == pytest.approx(2e4)


def test_the_first_scale_is_the_papers():
    centres = SubClusterCentres(n_classes=5, n_sub_clusters=16, n_features=8)
    assert centres.scale.item() == pytest.approx(math.sqrt(2) * math.log(5 * 16 - 1))


def test_an_adapted_scale_by_hand():
    # One clip, two classes, cosines cos(pi/6) and 0, its class the first: its angle, pi/6, is below pi/4.
    cosines, labels = torch.tensor([[[math.sqrt(3) / 2], [0.0]]]), torch.tensor([[1.0, 0.0]])
    expected = math.log(math.exp(2 * math.sqrt(3) / 2) + 1) / (math.sqrt(3) / 2)
    assert adapted_scale(cosines, labels, scale=torch.tensor(2.0)).item() == pytest.approx(expected)
    # Of the other class, its angle is pi/2, for which pi/4 is taken.
    expected = math.log(math.exp(2 * math.sqrt(3) / 2) + 1) / math.sqrt(0.5)
    assert adapted_scale(cosines, labels.flip(1), scale=torch.tensor(2.0)).item() == pytest.approx(expected)


def test_an_adapted_scale_is_numpys_of_the_equation():
    cosines, labels = random_cosines(n_rows=7)
    cosines = 0.9 + 0.1 * cosines  # angles below pi/4, so that their median counts
    angles = (labels * np.arccos(cosines.max(axis=2))).sum(axis=1)
    assert np.median(angles) < math.pi / 4
    mean_log = logsumexp(12 * cosines, axis=(0, 1, 2)) - math.log(7)
    found = adapted_scale(torch.from_numpy(cosines), torch.from_numpy(labels), scale=torch.tensor(12.0))
    assert found.item() == pytest.approx(mean_log / math.cos(np.median(angles)), rel=1e-6)


def test_centres_are_of_unit_length_and_not_trained():
    centres = SubClusterCentres(n_classes=3, n_sub_clusters=2, n_features=5)
    torch.testing.assert_close(centres.directions.norm(dim=-1), torch.ones(3, 2))
    assert list(centres.parameters()) == []
    embeddings = torch.randn(4, 5)
    expected = torch.nn.functional.cosine_similarity(embeddings[:, None, None], centres.directions[None], dim=-1)
    torch.testing.assert_close(centres(embeddings), expected)


# The network

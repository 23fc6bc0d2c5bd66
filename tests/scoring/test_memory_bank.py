"""Distances to the clips of a bank, by hand, and with one of them left out."""

import numpy as np
import pytest

from scorer_vectors import (
    LINE,
    LINE_DOMAINS,
    WHITENINGS,
    left_out,
    one_condition,
    settings_of,
    training_from,
    training_of,
)
from soundness.scoring.memory_bank import MemoryBank, left_out_distances
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.scoring import ScorerSettings


@pytest.mark.parametrize("whitening_name", WHITENINGS)
@pytest.mark.parametrize("counts", [(9, 4), (12, 1), (4, 3, 5), (3,)])
def test_a_clip_is_left_out_as_if_it_had_never_been_there(whitening_name, counts):
    training = training_of(*counts, n_features=7)
    chosen = settings_of("nearest-neighbors", "nearest", whitening_name, "z-score")
    (found,) = left_out_distances([MemoryBank.from_training(training, chosen)], training)
    for clip in range(len(training.vectors)):
        kept = np.arange(len(training.vectors)) != clip
        domains = np.unique(training.clip_domains[kept])
        if len(domains) < len(counts):
            continue  # without a domain there is no bank with as many
        bank = MemoryBank.from_training(training.subset(kept), chosen)
        np.testing.assert_allclose(found[clip], bank.distances(training.vectors[clip]), rtol=1e-8)


def test_synthetic_references_lie_between_neighbours_of_the_smaller_domain():
    training = TrainingVectors.from_vectors(
        np.array([[0.0], [1.0], [2.0], [3.0], [10.0], [14.0], [24.0]]), [0, 0, 0, 0, 1, 1, 1]
    )
    bank = MemoryBank.from_training(training, ScorerSettings(synthetic_neighbors=1))
    assert bank.domain_distances[1].references[:, 0].tolist() == [10.0, 14.0, 24.0, 12.0, 19.0]
    assert bank.domain_distances[0].references[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert bank.distances(np.array([[19.5]]))[1] == 0.5
    # Left out, 14 takes 12 and 19 with it: 4 from 10.
    (left_out,) = left_out_distances([bank], training)
    assert left_out[5, 1] == 4.0


def test_a_clip_is_compared_with_each_domain_under_that_domains_conditions_only():
    # Conditions: 0 and 1 of the source, 2 of the target. The bank holds each clip under its own.
    values = [
        [[0.0], [9.0], [90.0]],
        [[9.0], [2.0], [90.0]],
        [[9.0], [4.0], [90.0]],
        [[50.0], [50.0], [100.0]],
        [[50.0], [50.0], [101.0]],
        [[50.0], [50.0], [104.0]],
    ]
    training = training_from(values, [0, 0, 0, 1, 1, 1], own=[0, 1, 1, 2, 2, 2], condition_domains=[0, 0, 1])
    bank = MemoryBank.from_training(training, ScorerSettings())
    assert bank.whitened.ravel().tolist() == [0, 2, 4, 100, 101, 104]
    # Under its conditions 0 and 1 the clip is 5 and 1 from the source, under condition 2 it is 20 from the target.
    assert bank.distances(np.array([[9.0], [1.0], [80.0]])).tolist() == [1.0, 20.0]
    # Near the target under a source condition, and near the source under the target's: neither counts.
    assert bank.distances(np.array([[100.0], [100.0], [2.0]])).tolist() == [96.0, 98.0]


def test_leave_one_out_takes_the_same_minima_over_conditions_as_a_test_does():
    # Under its own condition 0, clip 0 is 5 from its neighbours; under condition 1 it is 1 from one of them.
    values = [[[0.0], [4.0]], [[5.0], [30.0]], [[40.0], [8.0]], [[60.0], [20.0]]]
    training = training_from(values, [0, 0, 0, 0], own=[0, 0, 1, 1], condition_domains=[0, 0])
    bank = MemoryBank.from_training(training, ScorerSettings())
    assert bank.whitened.ravel().tolist() == [0, 5, 8, 20]
    # clip 0: queries 0 4 against 5 8 20; clip 1: 5 30 against 0 8 20; clip 2: 40 8 against 0 5 20;
    # clip 3: 60 20 against 0 5 8
    assert left_out(bank, training).ravel().tolist() == [1.0, 3.0, 3.0, 12.0]


def test_the_clip_itself_is_left_out_but_its_twin_is_not():
    training = one_condition([[0.0], [0.0], [5.0], [9.0]], [0] * 4)
    bank = MemoryBank.from_training(training, ScorerSettings())
    assert left_out(bank, training).ravel().tolist() == [0.0, 0.0, 4.0, 4.0]


def test_one_condition_counts_for_every_domain():
    bank = MemoryBank.from_training(one_condition(LINE, LINE_DOMAINS), ScorerSettings())
    assert bank.distances(np.array([[50.0]])).tolist() == [43.0, 50.0]


def test_clips_that_depend_on_each_other_are_left_out_together():
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((14, 4)) @ np.diag([1.0, 2.0, 3.0, 4.0])
    vectors[7:] = vectors[:7] + 1e-3 * rng.standard_normal((7, 4))  # clip 7 is nearly clip 0, and so on
    dependent = np.kron(np.ones((2, 2)), np.eye(7)) > 0
    for whitening in ("shrunk", "ledoit-wolf", "none"):
        for is_standardised in (False, True):
            settings = ScorerSettings(whitening=whitening, is_standardised=is_standardised and whitening != "none")
            training = TrainingVectors.from_vectors(vectors, dependent=dependent)
            (found,) = left_out_distances([MemoryBank.from_training(training, settings)], training)
            for clip in range(14):
                others = ~dependent[clip]
                alone = MemoryBank.from_training(TrainingVectors.from_vectors(vectors[others]), settings)
                np.testing.assert_allclose(found[clip], alone.distances(vectors[clip][None]), rtol=1e-6)


def test_a_dependence_on_nothing_changes_no_bit():
    vectors = np.random.default_rng(6).standard_normal((12, 5))
    settings = ScorerSettings(whitening="scaled", is_standardised=True, distance="density-ratio")
    plain, alone = (
        TrainingVectors.from_vectors(vectors, dependent=dependent) for dependent in (None, np.eye(12, dtype=np.bool_))
    )
    (expected,) = left_out_distances([MemoryBank.from_training(plain, settings)], plain)
    (found,) = left_out_distances([MemoryBank.from_training(alone, settings)], alone)
    np.testing.assert_array_equal(found, expected)

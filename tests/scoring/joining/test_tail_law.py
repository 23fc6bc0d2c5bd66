"""Law of the scores of normal clips: shares that are counted, and Pareto's law beyond."""

import numpy as np
import pytest
from scipy.stats import lomax

from soundness.scoring.joining.tail_law import TailLaw, left_out_nats


def test_shares_are_counted_up_to_the_tail():
    law = TailLaw.from_scores(np.arange(1.0, 100.0))  # 1 to 99
    np.testing.assert_allclose(law.nats(np.array([10.0, 50.0])), -np.log([0.9, 0.5]), rtol=1e-12)
    assert law.nats(np.array(50.5)) == pytest.approx(-np.log(np.sqrt(0.5 * 0.49)), rel=1e-12)


def test_beyond_it_is_the_survival_function_of_a_lomax_distribution_of_excesses_with_the_new_one():
    scores = np.concatenate([np.zeros(30), np.arange(1.0, 11.0)])  # a quarter of 41 is the tail: the new one and nine
    law = TailLaw.from_scores(np.random.default_rng(0).permutation(scores))
    assert (law.start, law.total_excess, law.n_in_tail) == (1.0, 45.0, 10)
    for score in (3.0, 20.0, 500.0):
        excess = score - 1.0
        expected = -np.log(11 / 42) - lomax.logsf(excess, c=10, scale=45.0 + excess)
        assert law.nats(np.array(score)) == pytest.approx(expected, rel=1e-12)


def test_many_clips_tell_more_of_a_score_far_out_than_few():
    rng = np.random.default_rng(1)
    few, many = (TailLaw.from_scores(rng.exponential(size=n)) for n in (12, 5_000))
    assert many.nats(np.array(30.0)) == pytest.approx(30.0, rel=0.1)
    assert few.nats(np.array(1e6)) < 4.0


@pytest.mark.parametrize("scores", [[1.0, 1.0], [0.0, 0.0, 0.0], [2.0, 5.0], [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 7.0]])
def test_a_larger_score_is_never_less_rare(scores):
    law = TailLaw.from_scores(np.array(scores))
    nats = law.nats(np.linspace(-3.0, 30.0, 500))
    assert np.isfinite(nats).all()
    assert (np.diff(nats) >= 0.0).all()
    assert nats[-1] > nats[0]


def test_a_clip_is_as_rare_as_the_others_make_it():
    scores = np.random.default_rng(2).gumbel(size=40)
    law = TailLaw.from_scores(scores)
    found = left_out_nats(law, scores, np.stack([scores, scores + 1.0]))
    farthest = int(scores.argmax())
    others = TailLaw.from_scores(np.delete(scores, farthest))
    np.testing.assert_array_equal(found[:, farthest], others.nats(scores[farthest] + np.array([0.0, 1.0])))
    assert found[0, farthest] != law.nats(scores)[farthest]
    middle = int(scores.argsort()[5])
    assert found[0, middle] == law.nats(scores)[middle]


@pytest.mark.parametrize("n_clips", [10, 40])
def test_p_values_of_several_tests_hold_for_new_clips(n_clips):
    rng = np.random.default_rng(3)
    flagged = []
    for _ in range(400):
        scores, new = rng.gumbel(size=(5, n_clips)), rng.gumbel(size=5)
        laws = [TailLaw.from_scores(own) for own in scores]
        left_out = np.max([left_out_nats(law, own, own) for law, own in zip(laws, scores, strict=True)], axis=0)
        score = max(float(law.nats(own)) for law, own in zip(laws, new, strict=True))
        flagged.append((1 + (left_out >= score).sum()) / (n_clips + 1) <= 0.1)
    assert np.mean(flagged) < 0.12

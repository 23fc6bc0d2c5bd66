"""Law of the scores of normal clips: shares that are counted, and Pareto's law beyond."""

import numpy as np
import pytest
from scipy.stats import lomax

from soundness.scoring.joining.tail_law import TailLaw


def test_shares_are_counted_up_to_the_tail():
    law = TailLaw.from_scores(np.arange(1.0, 100.0))  # 1 to 99
    np.testing.assert_allclose(law.nats(np.array([10.0, 50.0])), -np.log([0.9, 0.5]), rtol=1e-12)
    assert law.nats(np.array(50.5)) == pytest.approx(-np.log(np.sqrt(0.5 * 0.49)), rel=1e-12)


def test_beyond_it_is_the_survival_function_of_a_lomax_distribution():
    scores = np.concatenate([np.zeros(30), np.arange(1.0, 11.0)])  # a quarter of 40 is the tail, of mean excess 5.5
    law = TailLaw.from_scores(np.random.default_rng(0).permutation(scores))
    assert (law.start, law.scale, law.n_in_tail) == (0.0, 5.5, 10)
    beyond = -np.log(11 / 41) - lomax.logsf(np.array([3.0, 20.0, 500.0]), c=10, scale=10 * 5.5)
    np.testing.assert_allclose(law.nats(np.array([3.0, 20.0, 500.0])), beyond, rtol=1e-12)


def test_many_clips_tell_more_of_a_score_far_out_than_few():
    rng = np.random.default_rng(1)
    few, many = (TailLaw.from_scores(rng.exponential(size=n)) for n in (12, 5_000))
    assert many.nats(np.array(30.0)) == pytest.approx(30.0, rel=0.1)
    assert few.nats(np.array(30.0)) < 15.0


@pytest.mark.parametrize("scores", [[1.0, 1.0], [0.0, 0.0, 0.0], [2.0, 5.0], [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 7.0]])
def test_a_larger_score_is_never_less_rare(scores):
    law = TailLaw.from_scores(np.array(scores))
    nats = law.nats(np.linspace(-3.0, 30.0, 500))
    assert np.isfinite(nats).all()
    assert (np.diff(nats) >= 0.0).all()
    assert nats[-1] > nats[0]

"""Drift of arrays that were moved on purpose."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from soundness.monitoring.drift_statistics import ALPHA, Shift, classify, compute_drift, rank_sum_p_value
from soundness.screening.normal_clips import NormalClips

N_MELS = 12
NO_SCORES = np.empty(0)


def clips(n_clips, seed=0, *, domain="source", means=0.0, floors=0.0):
    """Clips of two conditions, whose spectra have different shapes, of which each band and floor was moved."""
    rng = np.random.default_rng(seed)
    tilt = np.linspace(-5.0, 5.0, N_MELS) * np.where(np.arange(n_clips) % 2, 1.0, -1.0)[:, None]
    own = tilt - 40.0 + 0.5 * rng.standard_normal((n_clips, N_MELS)) + rng.standard_normal((n_clips, 1))
    quiet = own - 6.0 + 0.2 * rng.standard_normal((n_clips, N_MELS))
    own, quiet = own + means, quiet + floors
    levels = 10 * np.log10((10 ** (own / 10)).sum(axis=1))
    arrays = [array.astype(np.float32) for array in (own, quiet, levels)]
    return NormalClips(
        names=tuple(map(str, range(n_clips))),
        **dict(zip(("means", "floors", "levels"), arrays, strict=True)),
        domains=np.zeros(n_clips, np.int64),
        domain_names=(domain,),
    )


def drift_from(before, new, *, scores=None, new_scores=NO_SCORES):
    return compute_drift(before, new, scores=scores or {}, new_scores=new_scores, rng=np.random.default_rng(0))


@pytest.mark.parametrize("gain", [-6.0, -3.0, 3.0, 6.0])
def test_all_bands_moved_alike_are_a_changed_gain(gain):
    found = drift_from(clips(60), clips(12, 1, means=gain, floors=gain))
    assert (found.answer, found.advice) == ("microphone gain changed", "fix the microphone")
    assert found.shift.gain == pytest.approx(gain, abs=1.0)  # the deviation of 12 levels is 0.3 dB
    assert found.shift.level == pytest.approx(found.shift.gain, abs=0.7)


def test_bands_that_rose_in_quiet_moments_too_are_noise():
    rise = np.linspace(0.0, 6.0, N_MELS)
    found = drift_from(clips(60), clips(12, 1, means=rise, floors=1.3 * rise))
    assert (found.answer, found.advice) == ("noise floor rose", "recalibrate")


def test_bands_that_rose_in_passing_alone_are_no_noise_floor():
    found = drift_from(clips(60), clips(12, 1, means=np.linspace(0.0, 8.0, N_MELS)))
    assert found.answer == "new condition"


def test_bands_that_moved_apart_are_a_new_condition():
    moved = np.where(np.arange(N_MELS) % 3 == 0, 5.0, -4.0)
    found = drift_from(clips(60), clips(12, 1, means=moved, floors=moved))
    assert (found.answer, found.advice) == ("new condition", "enroll")


def test_highest_bands_that_fell_alone_are_for_the_microphone():
    cut = np.where(np.arange(N_MELS) >= 8, -20.0, 0.0)
    found = drift_from(clips(60), clips(12, 1, means=cut, floors=cut))
    assert (found.answer, found.advice) == ("new condition", "fix the microphone")
    assert found.shift.first_cut_band == 8


def test_a_new_mix_of_known_conditions_is_nothing():
    before, fresh = clips(60), clips(30, 1)
    chosen = np.flatnonzero(np.arange(30) % 2 == 0)
    one = replace(fresh.subset(chosen), domains=np.zeros(15, int), domain_names=("",))
    assert drift_from(before, one).answer == "nothing"


def test_unchanged_clips_are_called_moved_as_rarely_as_is_promised():
    before = clips(60)
    n_moved = sum(drift_from(before, clips(8, seed)).answer != "nothing" for seed in range(1, 11))
    assert n_moved <= stats.binom(10, ALPHA).ppf(0.999)


def test_clips_that_fit_any_known_domain_have_not_moved():
    moved = np.where(np.arange(N_MELS) % 3 == 0, 6.0, -6.0)
    target = clips(20, 2, domain="target", means=moved, floors=moved)
    fresh = clips(8, 3, means=moved, floors=moved)
    assert drift_from(clips(60), fresh).answer == "new condition"
    assert drift_from(clips(60).concatenate(target), fresh).answer == "nothing"


def test_scores_that_rose_alone_ask_for_a_recalibration():
    calm = np.random.default_rng(0).normal(size=60)
    found = drift_from(clips(60), clips(12, 1), scores={"source": calm}, new_scores=np.full(12, 5.0))
    assert (found.answer, found.advice) == ("new condition", "recalibrate")
    assert found.tests["scores"] == pytest.approx(0.001)
    calm_again = drift_from(clips(60), clips(12, 1), scores={"source": calm}, new_scores=calm[:12])
    assert calm_again.answer == "nothing"


def test_ranks_are_tested_as_wilcoxon_does():
    rng = np.random.default_rng(3)
    before, new = rng.normal(size=40), rng.normal(0.5, 1.0, size=12)
    expected = stats.mannwhitneyu(new, before, alternative="greater").pvalue
    assert rank_sum_p_value(new, before, rng) == pytest.approx(expected, abs=0.03)


def test_equal_scores_prove_nothing():
    assert rank_sum_p_value(np.ones(5), np.ones(20), np.random.default_rng(0)) == 1.0


def test_a_shift_is_told_by_its_parts():
    row = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    shift = Shift.from_row(row, np.full(7, 0.1))
    assert (len(shift.means), len(shift.floors), shift.level) == (3, 3, 1.0)
    assert classify(shift)[0] == "microphone gain changed"

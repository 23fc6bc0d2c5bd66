"""Clips among normal ones that are not like the others."""

import numpy as np
import pytest

from soundness.screening.suspects import FEWEST_CLIPS, find_suspects

N_BANDS = 64


def clips(n, *, seed=0, deviation=1.0):
    """Spectra that vary in their level and smoothly over the bands, and their quiet moments."""
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.standard_normal((n, N_BANDS)), axis=1) / np.sqrt(N_BANDS)
    means = -40.0 + deviation * (rng.standard_normal((n, 1)) + smooth + 0.3 * rng.standard_normal((n, N_BANDS)))
    return [means, means - 3.0 + 0.2 * rng.standard_normal((n, N_BANDS))]


def with_fault(views, index, *, bands=slice(20, 26), db=12.0):
    for view in views:
        view[index, bands] += db
    return views


def screened(views, domains=None, **options):
    return find_suspects(views, np.zeros(len(views[0]), np.int64) if domains is None else domains, **options)


@pytest.mark.parametrize("n", [12, 15, 40, 120])
def test_a_faulty_clip_is_found_and_no_other(n):
    found = screened(with_fault(clips(n), n // 3))
    assert np.flatnonzero(found.is_suspect).tolist() == [n // 3]
    assert found.p_values.argmin() == n // 3
    assert found.n_screened == n


def test_normal_clips_are_rarely_suspected():
    n_suspects = [int(screened(clips(30, seed=seed)).is_suspect.sum()) for seed in range(40)]
    assert np.mean(np.array(n_suspects) > 0) <= 0.2
    assert sum(n_suspects) <= 0.01 * 40 * 30


def test_several_faulty_clips_do_not_hide_each_other():
    views = clips(40)
    for index in range(3):
        with_fault(views, index, bands=slice(10 * index, 10 * index + 6), db=9.0)
    with_fault(views, 3, bands=slice(0, 6), db=9.5)
    assert np.flatnonzero(screened(views).is_suspect).tolist() == [0, 1, 2, 3]


def test_two_copies_of_a_faulty_clip_do_not_vouch_for_each_other():
    views = with_fault(with_fault(clips(30), 0), 1)
    for view in views:
        view[1] = view[0]
    dependent = np.eye(30, dtype=bool)
    dependent[0, 1] = dependent[1, 0] = True
    assert np.flatnonzero(screened(views, dependent=dependent).is_suspect).tolist() == [0, 1]


def test_an_operating_state_of_its_own_is_named_and_kept():
    views = clips(60)
    for view in views:
        view[:8, :30] += 15.0
    found = screened(views)
    assert not found.is_suspect.any()
    assert [sorted(group) for group in found.groups] == [list(range(8))] or found.groups == ()
    assert not found.crowds


def test_a_fault_beside_two_operating_states_is_found():
    views = clips(60)
    for view in views:
        view[:30, :30] += 10.0
    found = screened(with_fault(views, 7, bands=slice(45, 52), db=15.0))
    assert np.flatnonzero(found.is_suspect).tolist() == [7]


def test_each_domain_is_compared_with_itself():
    views = clips(40, seed=3)
    for view in views:
        view[20:] += 20.0
    domains = np.repeat([0, 1], 20)
    found = screened(with_fault(views, 25), domains)
    assert np.flatnonzero(found.is_suspect).tolist() == [25]


@pytest.mark.parametrize(("n_few", "is_set_aside"), [(10, False), (30, True)])
def test_of_few_clips_beside_many_each_may_be_a_state_of_its_own(n_few, is_set_aside):
    views = clips(60 + n_few)
    for view in views:
        view[60:, ::2] += 20.0
        view[65, 3:9] += 25.0
    found = find_suspects(views, np.repeat([0, 1], [60, n_few]))
    assert (found.is_suspect[65], found.lone) == ((True, ()) if is_set_aside else (False, (65,)))
    assert found.p_values[65] < 1e-3


def test_a_clip_that_lies_among_those_of_another_domain_is_normal():
    views = clips(50, seed=3)
    for view in views:
        view[40:49] += 15.0  # the last stays where the first domain is
    found = screened(views, np.repeat([0, 1], [40, 10]))
    assert not found.is_suspect.any()


def test_too_few_clips_are_not_screened():
    n = FEWEST_CLIPS - 1
    found = screened(with_fault(clips(n), 0))
    assert not found.is_suspect.any()
    assert found.n_screened == 0
    assert (found.p_values == 1.0).all()


def test_clips_that_do_not_differ_are_not_suspected():
    views = [np.full((12, N_BANDS), -40.0)] * 2
    assert not screened(views).is_suspect.any()


def test_the_order_of_the_clips_does_not_matter():
    views, order = with_fault(clips(25), 4), np.random.default_rng(1).permutation(25)
    first, second = screened(views), screened([view[order] for view in views])
    np.testing.assert_allclose(first.p_values[order], second.p_values, rtol=1e-6)

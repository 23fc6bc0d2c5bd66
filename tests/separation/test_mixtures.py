"""Mixtures are made from what there is, at the levels that are asked for, and depend on the generator alone."""

import numpy as np
import pytest
import torch

from soundness.errors import DataError
from soundness.separation.mixtures import MachineSounds, Mixer, Recipe, mixed, recipes_of
from soundness.settings.separation import SeparatorSettings

RATE = 1000


def clip(level=0.1, *, n_samples=5000, seed=0):
    """Samples of one magnitude and random sign: every crop is as loud as the whole."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], n_samples)
    return (level * signs).astype(np.float32)


def clips(n, **kwargs):
    return [clip(seed=seed, **kwargs) for seed in range(n)]


def machine(name, *, clean=(), noise=(), noisy=()):
    return MachineSounds(name, clean, noise, noisy)


def levels_db(pairs):
    """Levels of machine and noise, shape ``(..., 2)``."""
    return 10 * np.log10(np.mean(np.square(np.asarray(pairs, dtype=np.float64)), axis=-1))


def assert_same_clips(found, expected):
    assert [id(one) for one in found] == [id(one) for one in expected]


def test_clean_clips_are_mixed_with_the_noise_of_every_machine():
    clean, noise, other = clips(2), clips(1), clips(3)
    fan = machine("fan", clean=clean)
    pump, valve = machine("pump", noise=noise), machine("valve", noise=other)
    (recipe,) = recipes_of([pump, fan, valve])
    assert (recipe.machine_type, recipe.is_noisy_target) == ("fan", False)
    assert_same_clips(recipe.references, clean)
    assert_same_clips(recipe.noises, [*noise, *other])


def test_noisy_clips_beside_clean_ones_are_mixed_too_but_four_times_less_often():
    noisy, noise = clips(2), clips(1)
    clean, beside = recipes_of([machine("fan", clean=clips(2), noisy=noisy), machine("pump", noise=noise)])
    assert (beside.machine_type, beside.is_noisy_target) == ("fan", True)
    assert_same_clips(beside.references, noisy)
    assert_same_clips(beside.noises, noise)
    assert beside.weight == clean.weight / 4
    assert (clean.is_waiting, beside.is_waiting) == (False, True)


def test_a_recipe_is_drawn_as_often_as_its_weight_says():
    loud, faint = [np.ones(100, np.float32)], [np.full(100, 0.01, np.float32)]
    recipes = [Recipe("a", loud, loud, False, weight=3.0), Recipe("b", faint, faint, False, weight=1.0)]
    settings = SeparatorSettings(batch_size=4000, crop_seconds=(1e-3, 1e-3), snr_db=(0.0, 0.0), gain_db=(0.0, 0.0))
    drawn = Mixer(recipes, settings).batch(np.random.default_rng(0))
    assert float((drawn[:, 0, 0] > 0.5).float().mean()) == pytest.approx(0.75, abs=0.03)


def test_a_machine_with_both_kinds_is_mixed_with_its_own_noise_too():
    clean, noise, other = clips(2), clips(1), clips(3)
    both = machine("fan", clean=clean, noise=noise, noisy=clips(1))
    alone = recipes_of([both])
    assert_same_clips(alone[0].references, clean)
    assert_same_clips(alone[0].noises, noise)
    together = recipes_of([both, machine("pump", noise=other)])
    assert_same_clips(together[0].noises, [*noise, *other])
    assert not together[0].is_noisy_target


def test_a_machine_with_noise_alone_has_it_mixed_with_its_training_clips():
    noise, noisy = clips(2), clips(3)
    fan = machine("fan", clean=clips(1))
    valve = machine("valve", noise=clips(1))
    recipes = recipes_of([fan, machine("pump", noise=noise, noisy=noisy), valve])
    assert [(recipe.machine_type, recipe.is_noisy_target) for recipe in recipes] == [("fan", False), ("pump", True)]
    assert_same_clips(recipes[1].references, noisy)
    assert_same_clips(recipes[1].noises, noise)  # and with no other machine's
    (alone,) = recipes_of([machine("pump", noise=noise, noisy=noisy)])
    assert alone.is_noisy_target


def test_a_machine_without_supplemental_clips_has_no_recipe():
    recipes = recipes_of([machine("valve", noisy=clips(2)), machine("pump", noise=clips(1), noisy=clips(1))])
    assert [recipe.machine_type for recipe in recipes] == ["pump"]


@pytest.mark.parametrize(
    ("machines", "message"),
    [
        ([], r"no supplemental clips of noise alone \(neither kind\).*supplemental/\*noise\*\.wav"),
        ([machine("fan", noisy=clips(1))], r"no supplemental clips of noise alone \(neither kind\)"),
        ([machine("fan", clean=clips(3), noisy=clips(1))], r"\(3 clean machine clips, but none of noise alone\)"),
        ([machine("fan", clean=clips(1)), machine("pump", clean=clips(1))], r"2 clean machine clips, but none"),
        ([machine("fan", noise=clips(1))], "no clean machine clips and no training clips: .*noise clips"),
        ([machine("fan", noise=clips(1)), machine("pump", noisy=clips(1))], "no clean machine clips"),
    ],
)
def test_where_nothing_can_be_mixed_the_message_says_what_is_missing(machines, message):
    with pytest.raises(DataError, match=message):
        recipes_of(machines)


@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 6.0])
def test_the_machine_is_as_many_decibels_above_the_noise_as_asked_for_and_keeps_its_level(snr_db):
    reference = clip(0.3)
    pair = mixed(reference, clip(0.02, seed=1), snr_db=snr_db, n_samples=5000, rng=np.random.default_rng(0))
    assert pair.shape == (2, 5000)
    np.testing.assert_array_equal(pair[0], reference)
    machine_db, noise_db = levels_db(pair)
    assert machine_db - noise_db == pytest.approx(snr_db, abs=1e-4)


def test_the_level_is_that_of_whole_clips_wherever_the_crops_lie():
    reference = np.concatenate([clip(1e-3), clip(0.1)])
    noise = np.concatenate([clip(0.4, seed=1), clip(0.0)])
    gain = np.sqrt((1e-3**2 + 0.1**2) / 0.4**2) * 10 ** (-3 / 20)
    for seed in range(10):
        pair = mixed(reference, noise, snr_db=3.0, n_samples=500, rng=np.random.default_rng(seed))
        for samples, values in ((pair[0], (1e-3, 0.1)), (pair[1], (0.4 * gain, 0.0))):
            nearest = np.abs(np.abs(samples)[:, None] - np.array(values)).min(axis=1)
            assert nearest.max() < 1e-6


def test_a_crop_begins_anywhere_at_random_in_machine_and_noise_alike():
    ramp = np.arange(1.0, 11.0, dtype=np.float32)
    rng = np.random.default_rng(0)
    pairs = np.stack([mixed(ramp, ramp, snr_db=0.0, n_samples=8, rng=rng) for _ in range(200)])
    np.testing.assert_allclose(np.diff(pairs), 1.0, atol=1e-5)
    starts = np.round(pairs[:, :, 0]).astype(int)
    assert {tuple(pair) for pair in starts.tolist()} == {(i, j) for i in (1, 2, 3) for j in (1, 2, 3)}


def test_a_clip_shorter_than_a_crop_is_repeated_to_fill_it():
    short = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    for seed in range(10):
        pair = mixed(short, short, snr_db=0.0, n_samples=8, rng=np.random.default_rng(seed))
        assert pair.shape == (2, 8)
        for samples in pair:
            start = round(float(samples[0])) - 1
            np.testing.assert_allclose(samples, [short[(start + index) % 3] for index in range(8)], rtol=1e-6)


@pytest.mark.parametrize(("machine_level", "noise_level"), [(0.0, 0.1), (0.1, 0.0), (0.0, 0.0)])
def test_a_silent_clip_stays_silent_and_leaves_the_other_as_it_is(machine_level, noise_level):
    reference, noise = clip(machine_level), clip(noise_level)
    pair = mixed(reference, noise, snr_db=5.0, n_samples=5000, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(pair, [reference, noise])


MIXED = {
    "reference": clip(0.2, seed=7),
    "noise": clip(0.1, seed=8),
    "snr_db": 3.0,
    "n_samples": 200,
    "rng": 1,
}


def a_mixture(**changes):
    values = {"reference": clip(), "noise": clip(seed=1), "snr_db": 0.0, "n_samples": 300, "rng": 0} | changes
    rng = np.random.default_rng(values.pop("rng"))
    return mixed(values.pop("reference"), values.pop("noise"), rng=rng, **values)


@pytest.mark.parametrize("name", MIXED)
def test_each_argument_changes_the_mixture(name):
    before, after = a_mixture(), a_mixture(**{name: MIXED[name]})
    np.testing.assert_array_equal(before, a_mixture())
    assert before.shape != after.shape or np.abs(before - after).max() > 0.01


def a_recipe(name="fan", *, references=None, noises=None):
    return Recipe(
        name,
        [clip(0.2, seed=seed) for seed in range(3)] if references is None else references,
        [clip(0.05, seed=seed) for seed in range(10, 13)] if noises is None else noises,
        is_noisy_target=False,
    )


def mixer(recipes=None, **changes):
    values = {"sample_rate": RATE, "crop_seconds": (0.5, 2.0), "batch_size": 8} | changes
    return Mixer([a_recipe()] if recipes is None else recipes, SeparatorSettings(**values))


def batch(seed=0, recipes=None, **changes):
    return mixer(recipes, **changes).batch(np.random.default_rng(seed))


def test_a_batch_depends_on_the_generator_alone():
    used = mixer()
    used.batch(np.random.default_rng(5))
    assert torch.equal(used.batch(np.random.default_rng(0)), batch(0))
    rng = np.random.default_rng(0)
    assert torch.equal(mixer().batch(rng), batch(0))
    following = used.batch(rng)
    assert following.shape != batch(0).shape or not torch.equal(following, batch(0))
    other = batch(1)
    assert other.shape != batch(0).shape or not torch.equal(other, batch(0))


def test_crops_are_of_one_length_in_a_batch_and_of_any_length_in_range_from_batch_to_batch():
    found = [batch(seed) for seed in range(40)]
    assert all(one.shape[:2] == (8, 2) and one.dtype == torch.float32 for one in found)
    lengths = [one.shape[-1] for one in found]
    assert 500 <= min(lengths) < 700
    assert 1800 < max(lengths) <= 2000


def test_crops_of_one_length_have_it():
    assert batch(crop_seconds=(0.7, 0.7)).shape[-1] == 700
    assert batch(crop_seconds=(1e-6, 1e-6)).shape[-1] == 1


def test_levels_lie_in_their_ranges_and_fill_them():
    pairs = batch(batch_size=200, snr_db=(-3.0, 9.0), gain_db=(-20.0, 4.0))
    machine_db, noise_db = levels_db(pairs).T
    for found, low, high in ((machine_db - noise_db, -3.0, 9.0), (machine_db - 20 * np.log10(0.2), -20.0, 4.0)):
        assert low - 1e-3 <= found.min() < low + 1.0
        assert high - 1.0 < found.max() <= high + 1e-3


def test_gain_is_the_same_for_machine_and_noise():
    quiet, loud = (batch(gain_db=(gain, gain)) for gain in (-6.0, 14.0))
    torch.testing.assert_close(loud, 10 * quiet)


def test_each_machine_is_drawn_as_often_as_any_other_however_many_clips_it_has():
    few, many = a_recipe(references=[clip(0.2)]), a_recipe(references=[clip(0.01, seed=seed) for seed in range(30)])
    pairs = batch(recipes=[few, many], batch_size=400, gain_db=(0.0, 0.0))
    is_of_few = levels_db(pairs)[:, 0] > -20
    assert 150 < is_of_few.sum() < 250


def test_every_clip_of_a_recipe_is_drawn():
    references, noises = ([np.full(3000, level, np.float32) for level in (0.1, 0.2, 0.3)] for _ in range(2))
    noises[1][::2] = 0.0
    noises[2][::4] = 0.0
    recipe = a_recipe(references=references, noises=noises)
    pairs = batch(recipes=[recipe], batch_size=100, gain_db=(0.0, 0.0)).numpy()
    assert set(np.round(pairs[:, 0, 0].astype(float), 3).tolist()) == {0.1, 0.2, 0.3}
    share = np.round((pairs[:, 1] == 0.0).mean(axis=1), 2)
    assert set(share.tolist()) == {0.0, 0.5, 0.25}


@pytest.mark.parametrize("silent", ["references", "noises"])
def test_a_batch_with_silent_clips_is_finite(silent):
    pairs = batch(recipes=[a_recipe(**{silent: [np.zeros(700, np.float32)]})])
    index = ("references", "noises").index(silent)
    assert pairs.isfinite().all()
    assert (pairs[:, index] == 0.0).all()
    assert (pairs[:, 1 - index] != 0.0).all()


CHANGES = {
    "sample_rate": 2000,
    "batch_size": 3,
    "crop_seconds": (0.1, 0.2),
    "snr_db": (0.0, 1.0),
    "gain_db": (0.0, 1.0),
    "recipes": [a_recipe(references=[clip(0.3, seed=40)])],
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_setting_of_the_mixer_changes_the_batch(name):
    before, after = batch(), batch(**{name: CHANGES[name]})
    assert before.shape != after.shape or (before - after).abs().amax() > 0.01

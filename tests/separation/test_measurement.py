"""The improvement is torchmetrics', over mixtures that depend on the seed alone."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio

from soundness.separation.measurement import measure_improvement
from soundness.separation.mixtures import Recipe
from soundness.separation.separator import Separator, SeparatorSummary
from soundness.settings.separation import SeparatorSettings

RATE = 1000
WHOLE = 6 * RATE  # a mixture is as long as that, so that there is but one crop of a clip
SETTINGS = SeparatorSettings(sample_rate=RATE)
SUMMARY = SeparatorSummary(
    seed=0,
    machine_types=("fan",),
    n_clips={},
    n_parameters=0,
    n_steps=0,
    seconds=0.0,
    improvements=(),
    notes=(),
    versions={},
)


class Smooth(torch.nn.Module):
    """A network that takes the mean of some neighbouring samples for the machine."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, mixture):
        machine = torch.nn.functional.avg_pool1d(mixture, self.width, stride=1, padding=self.width // 2)
        return torch.cat([machine, mixture - machine], dim=1)


def separator(width=5, *, settings=SETTINGS):
    return Separator(Smooth(width), settings=settings, summary=SUMMARY)


def hum(hz, *, n_samples=WHOLE, level=0.1):
    return (level * np.sin(2 * np.pi * hz * np.arange(n_samples) / RATE)).astype(np.float32)


def hiss(seed=0, *, n_samples=WHOLE, level=0.3):
    return (level * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


def recipe(references=None, noises=None, *, name="fan", is_noisy_target=False):
    references = [hum(10), hum(25)] if references is None else references
    return Recipe(name, references, [hiss()] if noises is None else noises, is_noisy_target)


def improvement(found=None, made_from=None, *, snr_db=0.0, seed=0):
    result = measure_improvement(
        separator() if found is None else found, recipe() if made_from is None else made_from, snr_db=snr_db, seed=seed
    )
    assert result is not None
    return result


def long_recipe():
    return recipe(
        [hum(10, n_samples=9000) + hiss(9, n_samples=9000)], [hiss(seed, n_samples=9000) for seed in range(3)]
    )


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0])
def test_the_improvement_is_the_difference_of_torchmetrics_values(snr_db):
    references, noise = [hum(10), hum(25)], hiss()
    after, before = [], []
    for reference in references:  # each in six of the dozen mixtures
        gain = np.sqrt(np.mean(reference**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
        mixture = torch.from_numpy(reference + gain * noise).double()
        smooth = torch.nn.functional.avg_pool1d(mixture[None, None], 5, stride=1, padding=2)[0, 0]
        target = torch.from_numpy(reference).double()
        after.append(scale_invariant_signal_noise_ratio(smooth, target).item())
        before.append(scale_invariant_signal_noise_ratio(mixture, target).item())
    found, _ = improvement(made_from=recipe(references, [noise]), snr_db=snr_db)
    assert found.si_snr_db == pytest.approx(np.mean(after), abs=1e-3)
    assert found.improvement_db == pytest.approx(np.mean(after) - np.mean(before), abs=1e-3)
    assert np.mean(before) == pytest.approx(snr_db, abs=0.2)
    assert found.improvement_db > 3.0
    assert found.n_mixtures == 12


def test_a_separator_that_does_nothing_improves_nothing():
    found, _ = improvement(separator(1))
    assert found.improvement_db == pytest.approx(0.0, abs=1e-9)


def test_what_was_measured_is_said():
    found, example = improvement(made_from=recipe(name="pump", is_noisy_target=True), snr_db=2.0)
    assert (found.machine_type, found.snr_db, found.is_noisy_target) == ("pump", 2.0, True)
    assert example.machine_type == "pump"
    assert not improvement()[0].is_noisy_target


def test_the_example_is_the_first_mixture():
    reference, noise = hum(10), hiss()
    gain = np.sqrt(np.mean(reference**2) / np.mean(noise**2))
    _, example = improvement(made_from=recipe([reference, hum(25)], [noise]))
    np.testing.assert_array_equal(example.reference, reference)
    np.testing.assert_allclose(example.mixture, reference + gain * noise, atol=1e-6)
    np.testing.assert_array_equal(example.estimate, separator().separate(example.mixture[None])[0, 0])


def test_mixtures_are_six_seconds_at_the_separators_rate():
    _, example = improvement(made_from=long_recipe())
    assert example.mixture.shape == example.estimate.shape == example.reference.shape == (6 * RATE,)
    _, example = improvement(separator(settings=SeparatorSettings(sample_rate=2000)), long_recipe())
    assert example.mixture.shape == (12_000,)


def test_a_seed_gives_the_same_mixtures_and_another_seed_others():
    first, again, other = (improvement(made_from=long_recipe(), seed=seed) for seed in (0, 0, 1))
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1].mixture, again[1].mixture)
    assert first[0].si_snr_db != other[0].si_snr_db
    assert np.abs(first[1].mixture - other[1].mixture).max() > 0.01


def test_crops_are_the_same_at_every_level():
    quiet, loud = (improvement(made_from=long_recipe(), snr_db=snr_db)[1] for snr_db in (-5.0, 5.0))
    np.testing.assert_array_equal(quiet.reference, loud.reference)
    noise, fainter = quiet.mixture - quiet.reference, loud.mixture - loud.reference
    np.testing.assert_allclose(fainter, noise * 10 ** (-10 / 20), atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"found": separator(9)},
        {"made_from": recipe(references=[hum(40)])},
        {"made_from": recipe(noises=[hiss(5)])},
        {"snr_db": 1.0},
    ],
    ids=["separator", "references", "noises", "snr_db"],
)
def test_each_argument_changes_the_improvement(changes):
    assert abs(improvement(**changes)[0].si_snr_db - improvement()[0].si_snr_db) > 1e-3


def test_a_recipe_of_silence_has_no_improvement():
    silence = [np.zeros(WHOLE, np.float32)]
    for made_from in (recipe(references=silence), recipe(noises=silence), recipe(silence, silence)):
        assert measure_improvement(separator(), made_from, snr_db=0.0, seed=0) is None


def test_mixtures_with_a_silent_machine_are_left_out():
    found, example = improvement(made_from=recipe([np.zeros(WHOLE, np.float32), hum(10), hum(25)]))
    assert found.n_mixtures == 8
    np.testing.assert_array_equal(example.reference, hum(10))
    assert found.si_snr_db == pytest.approx(improvement()[0].si_snr_db, abs=1e-9)


def test_mixtures_with_silent_noise_are_left_out_and_every_noise_clip_may_be_drawn():
    found, example = improvement(made_from=recipe(noises=[hiss(), np.zeros(WHOLE, np.float32)]))
    assert 0 < found.n_mixtures < 12
    assert np.abs(example.mixture - example.reference).max() > 0.0

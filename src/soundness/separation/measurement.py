"""SI-SNR improvement of a separator on mixtures whose parts are known."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from soundness.aliases import Waveform
from soundness.separation.losses import si_snr
from soundness.separation.mixtures import Recipe, mixed
from soundness.separation.separator import Improvement, Separator

__all__ = ["Example", "measure_improvement"]

_SECONDS = 6.0
_MIXTURES = 12


@dataclass(frozen=True, slots=True)
class Example:
    """One separated mixture; waveforms of shape ``(time,)``."""

    machine_type: str
    mixture: Waveform
    estimate: Waveform
    reference: Waveform


def measure_improvement(
    separator: Separator, recipe: Recipe, *, snr_db: float, seed: int
) -> tuple[Improvement, Example] | None:
    """Mean SI-SNR improvement of one machine over a dozen mixtures of its recipe, and the first of them.

    Parameters
    ----------
    separator
        Separator that is measured.
    recipe
        Recipe of held-out clips.
    snr_db
        Level of the machine above the noise, over whole clips.
    seed
        Random seed of the crops; the same at every level.

    Returns
    -------
    tuple or None
        ``None`` where no mixture has both a machine and noise that are not silent.
    """
    found: list[tuple[float, float]] = []
    example: Example | None = None
    for pair in _pairs(recipe, snr_db=snr_db, n_samples=round(_SECONDS * separator.settings.sample_rate), seed=seed):
        if not all(part.any() for part in pair):
            continue
        mixture = pair.sum(axis=0)
        estimate = separator.separate(mixture[None])[0, 0]
        found.append((_ratio(estimate, pair[0]), _ratio(mixture, pair[0])))
        if example is None:
            example = Example(recipe.machine_type, mixture, estimate, pair[0])
    if example is None:
        return None
    after, before = np.mean(found, axis=0)
    improvement = Improvement(
        machine_type=recipe.machine_type,
        snr_db=snr_db,
        si_snr_db=float(after),
        improvement_db=float(after - before),
        n_mixtures=len(found),
        is_noisy_target=recipe.is_noisy_target,
    )
    return improvement, example


def _pairs(recipe: Recipe, *, snr_db: float, n_samples: int, seed: int) -> Iterator[Waveform]:
    rng = np.random.default_rng(seed)
    for index in range(_MIXTURES):
        reference = recipe.references[index % len(recipe.references)]
        noise = recipe.noises[int(rng.integers(len(recipe.noises)))]
        yield mixed(reference, noise, snr_db=snr_db, n_samples=n_samples, rng=rng).astype(np.float32)


def _ratio(estimate: Waveform, reference: Waveform) -> float:
    return float(si_snr(torch.from_numpy(estimate).double(), torch.from_numpy(reference).double()))

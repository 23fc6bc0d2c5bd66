"""Mixtures of machine and noise, made on the fly from whatever recordings a data set has."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from soundness.aliases import Waveform
from soundness.errors import DataError
from soundness.settings.separation import SeparatorSettings

__all__ = ["MachineSounds", "Mixer", "Recipe", "recipes_of"]

_WEIGHT_BESIDE_CLEAN = 0.25


@dataclass(frozen=True, slots=True)
class MachineSounds:
    """Sounds of one machine that mixtures are made from; waveforms of shape ``(time,)``.

    Parameters
    ----------
    machine_type
        The machine's name.
    clean
        Supplemental clips of the machine alone.
    noise
        Supplemental clips of noise alone.
    noisy
        Training clips of the machine in noise, where no clean clip stands for them.
    """

    machine_type: str
    clean: Sequence[Waveform]
    noise: Sequence[Waveform]
    noisy: Sequence[Waveform]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sounds of one machine and the noise that they are mixed with.

    Parameters
    ----------
    machine_type
        The machine's name.
    references
        The sound to be kept.
    noises
        The sound to be taken away.
    is_noisy_target
        True if the references hold noise of their own, which the network cannot identify and so learns to remove [1]_.
    weight
        Frequency with which it is drawn, relative to others.
    is_waiting
        True if it is not drawn before its references were refreshed, since clean clips show the machine without noise.

    References
    ----------
    .. [1] T. Fujimura et al., "Noisy-target training: a training strategy for DNN-based speech enhancement without
       clean speech", EUSIPCO 2021.
    """

    machine_type: str
    references: Sequence[Waveform]
    noises: Sequence[Waveform]
    is_noisy_target: bool
    weight: float = 1.0
    is_waiting: bool = False


def recipes_of(machines: Sequence[MachineSounds]) -> list[Recipe]:
    """Recipes of each machine that has clips to mix.

    Clean clips of a machine are mixed with noise clips of all machines. Training clips that no clean clip stands for
    are mixed with noise, too (noisy-target training): with the machine's own noise clips where it has any. Beside clean
    clips they are drawn four times less often, since they are few, and not before their own noise was reduced once.

    Raises
    ------
    DataError
        If there is no clean clip, or no noise clip, so that nothing can be mixed; the message says which.
    """
    noises = [noise for machine in machines for noise in machine.noise]
    clean = [clip for machine in machines for clip in machine.clean]
    if not noises:
        found = f"{len(clean)} clean machine clips, but none of noise alone" if clean else "neither kind"
        raise DataError(
            f"no supplemental clips of noise alone ({found}): a separator is trained on mixtures of a machine and "
            f"noise; expected supplemental/*noise*.wav of at least one machine"
        )
    recipes = []
    for machine in machines:
        if machine.clean:
            recipes.append(Recipe(machine.machine_type, machine.clean, noises, is_noisy_target=False))
        if machine.noisy and (machine.clean or machine.noise):
            own = machine.noise or noises
            weight = _WEIGHT_BESIDE_CLEAN if machine.clean else 1.0
            recipes.append(
                Recipe(
                    machine.machine_type,
                    machine.noisy,
                    own,
                    is_noisy_target=True,
                    weight=weight,
                    is_waiting=bool(machine.clean),
                )
            )
    if not recipes:
        raise DataError("no clean machine clips and no training clips: there is nothing to mix the noise clips with")
    return recipes


class Mixer:
    """Draws batches of mixtures by the weights of recipes; a batch depends on the generator alone."""

    def __init__(self, recipes: Sequence[Recipe], settings: SeparatorSettings) -> None:
        self.recipes = recipes
        self.settings = settings
        weights = np.array([recipe.weight for recipe in recipes])
        self._shares = weights / weights.sum()

    def batch(self, rng: np.random.Generator) -> Tensor:
        """Machine and noise, shape ``(batch, 2, time)``; their sum is the mixture."""
        settings = self.settings
        n_samples = max(1, round(rng.uniform(*settings.crop_seconds) * settings.sample_rate))
        pairs = []
        for _ in range(settings.batch_size):
            recipe = self.recipes[int(rng.choice(len(self.recipes), p=self._shares))]
            pair = mixed(
                recipe.references[int(rng.integers(len(recipe.references)))],
                recipe.noises[int(rng.integers(len(recipe.noises)))],
                snr_db=rng.uniform(*settings.snr_db),
                n_samples=n_samples,
                rng=rng,
            )
            pairs.append(pair * 10 ** (rng.uniform(*settings.gain_db) / 20))
        return torch.from_numpy(np.stack(pairs).astype(np.float32))


def mixed(reference: Waveform, noise: Waveform, *, snr_db: float, n_samples: int, rng: np.random.Generator) -> Waveform:
    """Random crops of a machine and of noise, at a level that the whole clips give.

    Parameters
    ----------
    reference, noise
        Shape ``(time,)``; a clip shorter than the crop is repeated to fill it.
    snr_db
        Power of the whole machine clip over that of the whole noise clip as it is mixed in. A silent clip stays silent.
    n_samples
        Length of the crops.
    rng
        Draws where they begin.

    Returns
    -------
    ndarray
        Machine and noise, shape ``(2, n_samples)``.
    """
    levels = [float(np.sqrt(np.mean(np.square(clip, dtype=np.float64)))) for clip in (reference, noise)]
    gain = levels[0] / levels[1] * 10 ** (-snr_db / 20) if min(levels) > 0.0 else 1.0
    return np.stack([_crop(reference, n_samples, rng), gain * _crop(noise, n_samples, rng)])


def _crop(clip: Waveform, n_samples: int, rng: np.random.Generator) -> Waveform:
    if len(clip) < n_samples:
        clip = np.tile(clip, -(-n_samples // len(clip)))
    start = rng.integers(len(clip) - n_samples + 1)
    return clip[start : start + n_samples]

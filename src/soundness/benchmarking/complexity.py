"""Parameters and multiply-accumulates of a detector, counted."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from soundness.detectors.detector import Detector
from soundness.errors import SettingsError

__all__ = ["Complexity", "count_complexity", "count_macs", "largest_complexity"]

_RMS = 0.1


class Complexity(NamedTuple):
    """Size and cost of the networks of a detector, its separator included.

    ``n_macs`` are the multiplications, each with its addition, of matrix products and convolutions while one clip is
    scored, under every condition if there are several. Log-mel spectrogram and scorer are no part of it.
    """

    n_parameters: int
    n_macs: int


def count_complexity(detector: Detector, *, seconds: float) -> Complexity:
    """Count a detector's parameters, and its multiply-accumulates for noise of a length.

    Parameters
    ----------
    detector
        Detector of any system; without a network the counts are 0.
    seconds
        Length of the clip, more than 0.

    Raises
    ------
    SettingsError
        If the length is not above 0 and finite.
    """
    if not 0 < seconds < np.inf:
        raise SettingsError(f"a clip of {seconds:g} s; more than 0 s is needed")
    audio = detector.settings.audio
    shape = (audio.channel + 1, round(seconds * audio.sample_rate))
    waveform = (_RMS * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    spectrograms = detector.spectrograms(waveform)
    n_macs = count_macs(lambda: detector.representation.vectors(spectrograms))
    separator = detector.separator
    if separator is not None:
        n_macs += count_macs(lambda: detector.front_end.sound(waveform, "separated"))
    parts = [detector.representation, *([] if separator is None else [separator])]
    n_parameters = sum(parameter.numel() for part in parts for parameter in _parameters(part))
    return Complexity(n_parameters, n_macs)


def _parameters(part: object) -> Iterator[nn.Parameter]:
    """Parameters of a network, or of the networks that a part holds."""
    networks = [part] if isinstance(part, nn.Module) else vars(part).values()
    for network in networks:
        if isinstance(network, nn.Module):
            yield from network.parameters()


def largest_complexity(detectors: Mapping[str, Detector], *, seconds: float) -> Complexity:
    """Largest counts of several detectors, each of which scores the clips of its own machine."""
    counts = [count_complexity(detector, seconds=seconds) for detector in detectors.values()]
    return Complexity(max(count.n_parameters for count in counts), max(count.n_macs for count in counts))


def count_macs(compute: Callable[[], object]) -> int:
    """Count the multiply-accumulates of the matrix products and convolutions of a computation with torch."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        compute()
    return counter.get_total_flops() // 2  # a multiplication and an addition each

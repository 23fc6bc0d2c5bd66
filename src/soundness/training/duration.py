"""How long a training is expected to take, said before it begins."""

import math
from collections.abc import Sequence

from soundness.audio.reading import read_info
from soundness.data.datasets import Machine
from soundness.settings.system import SystemSettings

__all__ = ["expected_seconds", "forecast"]

_SECONDS_A_CLIP = 0.02
_SECONDS_A_SEPARATED_CLIP = 0.1


def forecast(settings: SystemSettings, groups: Sequence[Sequence[Machine]], *, trains_separator: bool) -> str:
    """How long a training is expected to take, in words."""
    parts = _parts(settings, groups)
    if trains_separator:
        parts = {"training the separator": 60 * settings.separator.minutes, **parts}
    total = sum(parts.values())
    largest = ", ".join(f"{what} {_words(value)}" for what, value in parts.items() if value > 0.1 * total)
    return f"expected to take up to {_words(total)} ({largest})"


def expected_seconds(settings: SystemSettings, machines: Sequence[Machine]) -> float:
    """How long the training of all these machines is expected to take, once there is a separator."""
    groups = [list(machines)] if settings.scope == "shared" else [[machine] for machine in machines]
    return sum(_parts(settings, groups).values())


def _parts(settings: SystemSettings, groups: Sequence[Sequence[Machine]]) -> dict[str, float]:
    n_clips = sum(len(machine.train) for group in groups for machine in group)
    parts = {"reading": n_clips * (_SECONDS_A_CLIP if settings.separation == "off" else _SECONDS_A_SEPARATED_CLIP)}
    if settings.has_network:
        from soundness.training.step_timing import seconds_per_step

        n_steps = sum(_n_steps(settings, group) for group in groups)
        parts["training the network" + ("s" if len(groups) > 1 else "")] = n_steps * seconds_per_step(settings)
    return parts


def _n_steps(settings: SystemSettings, group: Sequence[Machine]) -> int:
    """Batches of a training, at the most; where each position is heard, from the lengths in the clips' headers."""
    training = settings.training
    if settings.is_embedding:
        return settings.embedding.max_steps
    if training is None or training.n_epochs is None:
        return 0 if training is None else training.max_steps
    seconds = sum(read_info(clip.path).seconds for machine in group for clip in machine.train)
    n_positions = (1 - training.held_out) * seconds * settings.audio.sample_rate / settings.log_mel.hop_length
    return training.n_epochs * math.ceil(n_positions / training.batch_size)


def _words(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"

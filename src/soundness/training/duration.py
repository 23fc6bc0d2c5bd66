"""Forecast of a training's duration."""

from collections.abc import Sequence

from soundness.audio.reading import read_info
from soundness.data.datasets import Machine
from soundness.representations.protocol import network_plan
from soundness.settings.system import AudioSettings, SystemSettings

__all__ = ["expected_seconds", "forecast", "seconds_of"]

_SECONDS_A_CLIP = 0.02
_SECONDS_A_SEPARATED_CLIP = 0.1


def forecast(settings: SystemSettings, groups: Sequence[Sequence[Machine]], *, trains_separator: bool) -> str:
    """Duration that is expected of a training, in words."""
    parts = _parts(settings, groups)
    if trains_separator:
        parts = {"training the separator": 60 * settings.separator.minutes, **parts}
    total = sum(parts.values())
    largest = ", ".join(f"{what} {_words(value)}" for what, value in parts.items() if value > 0.1 * total)
    return f"expected to take up to {_words(total)} ({largest})"


def expected_seconds(settings: SystemSettings, machines: Sequence[Machine]) -> float:
    """Duration in seconds that is expected of a training of all these machines, once there is a separator."""
    groups = [list(machines)] if settings.scope == "shared" else [[machine] for machine in machines]
    return sum(_parts(settings, groups).values())


def _parts(settings: SystemSettings, groups: Sequence[Sequence[Machine]]) -> dict[str, float]:
    n_clips = sum(len(machine.train) for group in groups for machine in group)
    parts = {"reading": n_clips * (_SECONDS_A_CLIP if settings.separation == "off" else _SECONDS_A_SEPARATED_CLIP)}
    plan = network_plan(settings)
    if plan is not None and plan.seconds_per_step is not None:
        n_steps = sum(
            plan.n_steps if isinstance(plan.n_steps, int) else plan.n_steps(seconds_of(g, settings.audio))
            for g in groups
        )
        parts["training the network" + ("s" if len(groups) > 1 else "")] = n_steps * plan.seconds_per_step()
    return parts


def seconds_of(group: Sequence[Machine], audio: AudioSettings) -> float:
    """Length of the training clips in seconds, by their headers."""
    clips = [clip for machine in group for clip in machine.train]
    return sum(read_info(clip.path, audio=audio).seconds if clip.part is None else clip.part.seconds for clip in clips)


def _words(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"

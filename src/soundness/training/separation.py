"""Use of separated machine sound: as the settings say, or as the data allow."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.data.datasets import Dataset, Machine
from soundness.errors import SettingsError
from soundness.representations.protocol import network_plan
from soundness.separation.saving import load_separator
from soundness.settings.system import SystemSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = ["can_train_separator", "decide_separation", "read_separator"]


def decide_separation(
    dataset: Dataset, settings: SystemSettings, *, has_separator: bool
) -> tuple[SystemSettings, tuple[str, ...]]:
    """Settings whose separation is no longer ``auto``, and notes on the choice.

    Raises
    ------
    SettingsError
        If the separation does not fit the system, or the system does not use the separator.
    """
    needs_network = settings.separation in ("augment", "target=separated")
    plan = network_plan(settings)
    if plan is not None and not plan.is_reconstruction and settings.separation == "target=separated":
        raise SettingsError("separation=target=separated is for a network that reconstructs; this system has none")
    if plan is None and needs_network:
        raise SettingsError(
            f"separation={settings.separation} is for the training of a network; this system has none: denoise or off"
        )
    if settings.separation == "off" and has_separator:
        raise SettingsError("a separator comes with separation=off; leave out one of the two")
    if settings.separation != "auto":
        return settings, ()
    notes: tuple[str, ...] = ()
    if plan is None:
        separation = "denoise" if has_separator else "off"
    elif has_separator or can_train_separator(dataset.machines.values()):
        separation = "augment"
    else:
        separation, notes = "off", ("no noise-only clips to train a separator with: separation is off",)
    return settings.model_copy(update={"separation": separation}), notes


def can_train_separator(machines: Iterable[Machine]) -> bool:
    """True if the data have noise-only clips and something to mix them with, which a separator is trained on."""
    kinds = [({clip.supplemental for clip in machine.supplemental}, len(machine.train)) for machine in machines]
    has_noise = any("noise" in found for found, _ in kinds)
    return has_noise and any("machine" in found or ("noise" in found and n_train > 0) for found, n_train in kinds)


def read_separator(path: Path, settings: SystemSettings) -> "Separator":
    """Read a separator, whose sample rate must be that of the settings.

    Raises
    ------
    SettingsError
        If it is another one.
    BundleError
        If the file is no separator.
    """
    separator = load_separator(path)
    if separator.settings.sample_rate != settings.audio.sample_rate:
        raise SettingsError(
            f"{path}: a separator for {separator.settings.sample_rate} Hz; "
            f"audio.sample_rate is {settings.audio.sample_rate} Hz"
        )
    return separator

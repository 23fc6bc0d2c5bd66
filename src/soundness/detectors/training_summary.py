"""Record of a training."""

from pydantic import BaseModel, ConfigDict

from soundness.screening.records import ScreeningRecord

__all__ = ["TrainingSummary"]


class TrainingSummary(BaseModel):
    """Record of a training: data, settings, losses, times and notes."""

    model_config = ConfigDict(frozen=True)

    system: str
    seed: int
    n_clips: dict[str, int]
    """Training clips by domain; ``""`` where there are no domains."""
    conditions: tuple[str, ...]
    """Conditions that the network is conditioned on, in words; empty without any."""
    conditioned_on: tuple[str, ...]
    """Those of machine type, attributes and domain that differ between the training clips."""
    n_parameters: int
    n_steps: int
    """Batches that the network was trained for; 0 without a network."""
    train_loss: float | None
    held_out_loss: float | None
    """Loss of the weights that are kept, in squared deviations of a band, or in dB squared."""
    pseudo_labels: dict[str, int] = {}
    """Training clips of each pseudo-label, by domain and label; the notes say how they were found."""
    separation: str
    """Use of separated machine sound: ``off``, ``augment``, ``denoise`` or ``target=separated``."""
    separator_seconds: float | None
    """Wall-clock time of the training of the separator, in this run or before it; ``None`` without one."""
    seconds: dict[str, float]
    """Wall-clock time of reading the clips, of separating them (a part of reading), of training the network and of
    fitting the scorer."""
    notes: tuple[str, ...]
    screening: ScreeningRecord | None = None
    """Screening of the training clips for some that are not normal; ``None`` without one."""
    versions: dict[str, str]

"""Settings of a discriminative embedding and of its training, each with its default, unit and range."""

from typing import Self

from pydantic import Field, model_validator

from soundness.settings.fields import LayerSize, PositiveInt, StrictSettings

__all__ = ["EmbeddingSettings"]


class EmbeddingSettings(StrictSettings):
    """Network of the representation ``discriminative-embedding``, and its training."""

    segment_frames: int = Field(default=64, ge=1, le=2**14)
    """Frames in a segment; a clip is scored by consecutive segments."""
    channels: tuple[LayerSize, ...] = Field(default=(8, 16, 32, 32), min_length=1, max_length=32, strict=False)
    """Feature maps of the layers that read a segment's change over time; each halves both axes."""
    spectrum_channels: tuple[LayerSize, ...] = Field(default=(16, 32, 32), min_length=1, max_length=32, strict=False)
    """Feature maps of the layers that read the long-time spectrum; each halves its bands."""
    n_features: LayerSize = 128
    """Values of an embedding from each of the two branches."""
    n_sub_clusters: LayerSize = 16
    """Fixed random centres of each class."""
    mixup_share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the segments that are mixed with another one, together with their labels."""
    noise_share: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the segments that get noise, where there are noise-only supplemental clips; 0 reads none."""
    noise_snr_db: tuple[float, float] = Field(default=(0.0, 20.0), strict=False)
    """Lowest and highest signal-to-noise ratio of such segments, dB."""
    is_transformed: bool = True
    """True if the network also distinguishes transformations of a clip (shifted, or tilted, over the bands). If not, at
    least two classes of clips are needed."""
    batch_size: PositiveInt = 64
    """Segments in a batch."""
    learning_rate: float = Field(default=1e-3, gt=0.0)
    """Learning rate of Adam."""
    max_steps: PositiveInt = 400
    """Batches of the training."""
    steps_per_epoch: PositiveInt = 50
    """Batches between checkpoints."""
    accelerator: str = "cpu"
    """Accelerator of Lightning: ``cpu``, ``gpu``, ``mps``, ``auto``."""

    @model_validator(mode="after")
    def _noise_has_a_range(self) -> Self:
        lowest, highest = self.noise_snr_db
        if lowest > highest:
            raise ValueError(f"noise_snr_db: {lowest:g} dB is more than {highest:g} dB")
        return self

"""Settings of a separator, each with its one default, its unit and its range."""

from typing import Literal, Self

from pydantic import Field, model_validator

from soundness.settings.fields import PositiveInt, StrictSettings

__all__ = ["SEPARATOR_SIZES", "ConvTasNetSize", "SeparatorSettings"]


class ConvTasNetSize(StrictSettings):
    """Size of a Conv-TasNet; the letters are the paper's."""

    n_filters: PositiveInt
    """N: filters of the learned basis."""
    kernel_size: int = Field(ge=2, multiple_of=2)
    """L: samples in a filter of the learned basis; frames overlap by half."""
    bottleneck_channels: PositiveInt
    """B: channels between the blocks."""
    hidden_channels: PositiveInt
    """H: channels inside a block."""
    skip_channels: PositiveInt
    """Sc: channels of the paths from the blocks to the masks."""
    block_kernel_size: PositiveInt = 3
    """P: frames in a depthwise filter."""
    n_blocks: PositiveInt
    """X: blocks in a repeat, each with twice the dilation of the one before."""
    n_repeats: PositiveInt
    """R: repeats of the blocks."""


SEPARATOR_SIZES: dict[str, ConvTasNetSize] = {
    name: ConvTasNetSize(
        n_filters=n_filters,
        kernel_size=kernel_size,
        bottleneck_channels=bottleneck,
        hidden_channels=hidden,
        skip_channels=bottleneck,
        n_blocks=n_blocks,
        n_repeats=n_repeats,
    )
    for name, (n_filters, kernel_size, bottleneck, hidden, n_blocks, n_repeats) in {
        "cpu": (256, 64, 64, 128, 6, 2),
        "cpu-quality": (256, 64, 128, 256, 8, 3),
        "gpu": (512, 32, 128, 512, 8, 3),
        "paper": (512, 16, 128, 512, 8, 3),
    }.items()
}
"""Sizes by name; ``paper`` is the best configuration of the paper."""


class SeparatorSettings(StrictSettings):
    """Network that splits a recording into machine and noise, and its training."""

    sample_rate: int = Field(default=16_000, ge=1_000, le=384_000)
    """Hz; recordings of another rate are resampled to it."""
    channel: int = Field(default=0, ge=0, lt=1024)
    """Channel of a clip that it is trained on, from 0."""
    size: Literal["cpu", "cpu-quality", "gpu", "paper"] = "cpu"
    """Key of `SEPARATOR_SIZES`."""
    basis: Literal["learned", "stft"] = "stft"
    """Basis of the masks: learned filters or a spectrum."""
    n_fft: int = Field(default=2048, ge=32, le=2**17, multiple_of=4)
    """Samples in a frame of the spectrum; the hop is a quarter of it."""
    refinement_channels: int = Field(default=8, ge=0, le=1024)
    """Feature maps of the convolution over bins and frames that corrects the masks of a spectrum; 0 for none, as in the
    paper. The learned basis has none, for its filters have no order."""
    causal: bool = False
    """True if it uses nothing of the future but the rest of a frame."""
    batch_size: PositiveInt = 4
    """Mixtures in a batch."""
    crop_seconds: tuple[float, float] = Field(default=(2.0, 4.0), strict=False)
    """Shortest and longest crop; one length for each batch."""
    snr_db: tuple[float, float] = Field(default=(-5.0, 5.0), strict=False)
    """Lowest and highest level of the machine above the noise, over the whole clips."""
    gain_db: tuple[float, float] = Field(default=(-10.0, 10.0), strict=False)
    """Lowest and highest gain of a mixture."""
    log_mel_weight: float = Field(default=0.2, ge=0.0)
    """Weight of a decibel of error in the machine's log-mel against a decibel of SI-SNR. A higher weight keeps weak
    bands, which detection needs, at the cost of SI-SNR."""
    learning_rate: float = Field(default=1e-3, gt=0.0)
    """First learning rate of Adam; it falls to 0 as the time runs out."""
    gradient_norm: float = Field(default=5.0, gt=0.0)
    """Largest norm of a step's gradient."""
    minutes: float = Field(default=20.0, gt=0.0)
    """Longest training time."""
    max_steps: PositiveInt | None = 4000
    """Most batches; a training that ends by them, and not by time, can be repeated exactly. With a spectrum the default
    takes less than 20 minutes on two cores; a learned basis needs longer."""
    refresh_steps: tuple[PositiveInt, ...] = Field(default=(100, 300), strict=False)
    """Batches after which noisy references are replaced by the network's estimates of them. Early, before the
    network memorises their noise; and seldom, for each time removes some machine sound with the noise."""
    held_out: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of a machine's supplemental clips that is held out to measure separation."""
    most_training_clips: PositiveInt = 200
    """Most training clips of a machine that are used, where its noise is mixed with them."""
    accelerator: str = "cpu"
    """Accelerator of Lightning: ``cpu``, ``gpu``, ``mps``, ``auto``."""

    @property
    def network(self) -> ConvTasNetSize:
        """Dimensions of the network."""
        return SEPARATOR_SIZES[self.size]

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> Self:
        ranges = {"crop_seconds": self.crop_seconds, "snr_db": self.snr_db, "gain_db": self.gain_db}
        for name, (low, high) in ranges.items():
            if low > high:
                raise ValueError(f"{name} is [{low:g}, {high:g}]; the smaller comes first")
        if list(self.refresh_steps) != sorted(set(self.refresh_steps)):
            raise ValueError(f"refresh_steps is {list(self.refresh_steps)}; each is larger than the one before")
        if self.crop_seconds[0] <= 0.0:
            raise ValueError(f"crop_seconds begins at {self.crop_seconds[0]:g} s; more than 0 is needed")
        return self

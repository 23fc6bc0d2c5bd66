"""Every setting of a system, each with its one default, its unit and its range.

A system is these defaults with a few lines changed: the files in ``systems/``, a user's own file of the same form, or
``--set key=value`` on the command line. `load_settings` puts the three together.
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from soundness.settings.embedding import EmbeddingSettings
from soundness.settings.fields import Pooling, PositiveInt, StrictSettings
from soundness.settings.scoring import ScorerSettings
from soundness.settings.separation import SEPARATOR_SIZES, ConvTasNetSize, SeparatorSettings

__all__ = [
    "SEPARATOR_SIZES",
    "AudioSettings",
    "AutoencoderSettings",
    "ConvTasNetSize",
    "EmbeddingSettings",
    "LogMelSettings",
    "ScorerSettings",
    "SeparatorSettings",
    "SystemSettings",
    "TrainingSettings",
]


class AudioSettings(StrictSettings):
    """How a recording is read."""

    sample_rate: int = Field(default=16_000, ge=1_000, le=384_000)
    """Hz; every recording is resampled to it."""
    channel: int = Field(default=0, ge=0)
    """Which channel of a recording is listened to, from 0."""


class LogMelSettings(StrictSettings):
    """The log-mel spectrogram; the defaults are the official baseline's."""

    n_fft: int = Field(default=1024, ge=32)
    """Samples in a frame; its window is of this length, too."""
    hop_length: PositiveInt = 512
    """Samples from one frame to the next."""
    n_mels: PositiveInt = 128
    fmin: float = Field(default=0.0, ge=0.0)
    """Hz, lower edge of the lowest band."""
    fmax: float = Field(default=8_000.0, gt=0.0)
    """Hz, upper edge of the highest band; at most half the sample rate."""
    power: float = Field(default=2.0, gt=0.0)
    """Exponent of the magnitude: 2 for power, 1 for magnitude."""
    floor_db: float = Field(default=-90.0, ge=-200.0, le=0.0)
    """dB; nothing is quieter. The noise of 16-bit samples lies at about -87 dB, so the floor is heard only in digital
    silence, which then differs from a quiet recording by a few dB and not by the 70 dB of a floor at float epsilon."""


class AutoencoderSettings(StrictSettings):
    """The network that reconstructs segments of a log-mel spectrogram."""

    name: str = "convolutional"
    """A key of `soundness.representations.autoencoders.AUTOENCODERS`, or the import
    path of a class of one's own, ``module:Class``."""
    is_conditional: bool = True
    """Whether the condition (machine type, attributes, domain) is concatenated with the input."""
    segment_frames: int = Field(default=8, ge=1)
    """Frames in a segment."""
    channels: tuple[PositiveInt, ...] = Field(default=(16, 32), min_length=1, strict=False)
    """Feature maps of the encoder's layers, or widths of dense ones; the decoder mirrors them."""
    first_stride: Literal[2, 4] = 4
    """By how much the first convolution shortens both axes; each of the others halves them."""
    latent_features: PositiveInt = 8
    """Width of the bottleneck: narrow, so that an anomaly cannot be copied through."""
    is_standardised: bool = True
    """Whether each band is read and reconstructed in units of its deviation, about its mean, or in dB as it is."""
    is_overlapping: bool = False
    """Whether a clip is scored by the segments that begin at each of its frames, or by those that follow each other."""
    error: Literal["squared", "signed", "log"] = "squared"
    """What is pooled over time in the representation ``reconstruction-error``: the residual (what is wanted less its
    reconstruction) squared, with its sign, or its square in dB, at least -40 dB."""


class TrainingSettings(StrictSettings):
    """How the network is trained."""

    batch_size: PositiveInt = 256
    """Segments in a batch."""
    learning_rate: float = Field(default=1e-3, gt=0.0)
    """Of Adam."""
    max_steps: PositiveInt = 600
    """Batches after which training ends at the latest, at random positions."""
    n_epochs: PositiveInt | None = None
    """How often each position of each clip is heard, in random order; ``None`` for random positions."""
    steps_per_epoch: PositiveInt = 50
    """Batches from one look at what is held out, and one checkpoint, to the next, at random positions; each time all
    positions have been heard where there are ``n_epochs``."""
    patience: PositiveInt = 4
    """Looks at what is held out without an improvement after which training stops early, where the best weights are
    kept."""
    held_out: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the training clips of each domain that is held out to stop early; 0 holds out none. Where there are
    ``n_epochs``, share of the positions of each clip."""
    weights: Literal["best", "last"] = "best"
    """Which weights are kept: those with the smallest loss on what is held out, or the last ones of a training that
    never stops early."""
    accelerator: str = "cpu"
    """Any accelerator that Lightning knows: ``cpu``, ``gpu``, ``mps``, ``auto``."""


class SystemSettings(StrictSettings):
    """A whole system, from the recording to the decision."""

    name: str = Field(default="custom", pattern=r"^[^/\\]+$")
    """Name of the system: of its settings file, where it was loaded from one."""
    description: str = ""
    """One line that says what the system is."""
    audio: AudioSettings = AudioSettings()
    log_mel: LogMelSettings = LogMelSettings()
    representation: str = "reconstruction-error"
    """What a clip becomes: a key of `soundness.representations.protocol.REPRESENTATIONS`, or the import path of a
    class of one's own, ``module:Class``."""
    quantile: float = Field(default=0.3, gt=0.0, lt=1.0)
    """Over time, of each band, in ``quantile-log-mel``."""
    poolings: tuple[Pooling, ...] = Field(default=("mean",), min_length=1, strict=False)
    """What becomes of each band over time in the representations ``log-mel``, ``reconstruction-error`` and ``latent``
    (there of each value of the bottleneck, over segments): a view of the clip each.
    ``quantile-0.1`` is the 10 % quantile."""
    autoencoder: AutoencoderSettings | None = AutoencoderSettings()
    """``None`` in a system without a network."""
    training: TrainingSettings | None = TrainingSettings()
    """``None`` in a system without a network."""
    embedding: EmbeddingSettings = EmbeddingSettings()
    """Of the representation ``discriminative-embedding`` alone, which has a network of its own and no autoencoder."""
    scorer: ScorerSettings = ScorerSettings()
    separation: Literal["auto", "off", "augment", "denoise", "target=separated"] = "auto"
    """What is done with separated machine sound. ``augment``: it is further training material for the network;
    ``denoise``: it takes the place of every recording; ``target=separated``: the network reads a recording and
    reconstructs what was separated from it. ``auto``: ``augment`` where there is a network and a separator, or clips to
    train one with; ``denoise`` where there is a separator and no network; ``off`` everywhere else."""
    separator: SeparatorSettings = SeparatorSettings()
    """Of a separator that is trained for this system alone, with the sample rate and the channel of ``audio``; one that
    is given brings its own."""
    scope: Literal["machine", "shared"] = "machine"
    """One network per machine, or one shared by all machines."""
    pseudo_labels: Literal["auto", "off", "clusters", "classifier"] = "auto"
    """What a network is told of training clips without attributes: nothing, the cluster that they belong to, or which
    class of other machines they sound like most. ``auto``: ``clusters`` on a machine without any attributes; where only
    some of its clips lack them, which of the machine's own classes those sound like (so does ``classifier`` there)."""
    false_alarm_rate: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of normal clips that the threshold is meant to flag."""
    calibration: Literal["left-out", "held-out"] = "left-out"
    """Whose scores threshold and p-values come from. ``left-out``: all training clips, each left out of memory bank and
    whitening, though not of a network; ``held-out``: clips that nothing was fitted on, which training then lacks."""
    calibration_share: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Share of the training clips of each domain that is held out, where calibration is ``held-out``."""

    def deciding(self) -> dict[str, Any]:
        """Every setting that a score depends on, as values of JSON: all but name and description."""
        return self.model_dump(mode="json", exclude={"name", "description"})

    @model_validator(mode="after")
    def _parts_of_an_autoencoder_go_together(self) -> Self:
        if (self.autoencoder is None) != (self.training is None):
            raise ValueError("autoencoder and training go together: both are false in a system without a network")
        return self

    @model_validator(mode="after")
    def _bands_fit_the_sample_rate(self) -> Self:
        if self.log_mel.fmax > self.audio.sample_rate / 2:
            raise ValueError(
                f"log_mel.fmax is {self.log_mel.fmax:g} Hz; at most half of audio.sample_rate, "
                f"{self.audio.sample_rate / 2:g} Hz, can be heard"
            )
        if self.log_mel.fmin >= self.log_mel.fmax:
            raise ValueError(
                f"log_mel.fmin ({self.log_mel.fmin:g} Hz) must lie below log_mel.fmax ({self.log_mel.fmax:g} Hz)"
            )
        return self

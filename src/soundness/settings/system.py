"""Settings of a system, each with its one default, its unit and its range.

A system is these defaults with a few lines changed: by a file in ``systems/`` or a user's own file of the same form,
and by ``--set key=value`` on the command line; see `load_settings`.
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from soundness.settings.embedding import EmbeddingSettings
from soundness.settings.fields import LayerSize, Pooling, PositiveInt, StrictSettings, ViewName
from soundness.settings.scoring import PeakKind, ScorerSettings
from soundness.settings.separation import SeparatorSettings

__all__ = ["AudioSettings", "AutoencoderSettings", "LogMelSettings", "SystemSettings", "TrainingSettings"]

_DETAILED: frozenset[ViewName] = frozenset({"modulation", "tones"})
_MOST_OVERLAPPING = 64  # frames that a sample may be part of
_MOST_WEIGHTS = 2**25  # of bands and bins


class AudioSettings(StrictSettings):
    """Sample rate, channel and length of a recording."""

    sample_rate: int = Field(default=16_000, ge=1, le=10_000_000)
    """Hz; every recording is resampled to it, unless it has that rate."""
    rate: float | None = Field(default=None, gt=0.0)
    """Sample rate in Hz of tables of numbers (.csv, .mat, .npy and others); ``None`` where they state it themselves."""
    columns: tuple[str, ...] = Field(default=(), strict=False)
    """Columns of a table that are its channels, by name or pattern, such as ``*_DE_time``, or by number from 0; all
    columns of numbers but the time if empty."""
    channel: int = Field(default=0, ge=0, lt=1024)
    """Channel of a recording that is read, from 0."""
    is_dc_removed: bool = False
    """True if the mean of a recording is taken off before anything else: it is an offset of the electronics, no sound.
    The official baseline keeps it."""
    clip_seconds: float | None = Field(default=None, ge=0.1, le=86_400.0)
    """Length of the clips that a detector learns and scores. A recording more than 1.5 times as long is cut into such
    clips in training, and scored in overlapping windows of that length. ``None``: the median length of the training
    recordings, or 10 s where that is more than 30 s."""


class LogMelSettings(StrictSettings):
    """Log-mel spectrogram; the defaults are the official baseline's."""

    n_fft: int = Field(default=1024, ge=32, le=2**17)
    """Samples in a frame and in its window."""
    hop_length: PositiveInt = 512
    """Samples from one frame to the next; at most ``n_fft``, so that none is skipped, and at least 1/64 of it."""
    n_mels: int = Field(default=128, ge=1, le=4096)
    frequency_scale: Literal["mel", "log", "linear"] = "mel"
    """Scale on which the bands are equally wide: Slaney's mel, as in librosa; logarithmic, from ``fmin`` above 0; or
    linear. On the latter two, where bands are narrower than the bins of the spectrum, a band takes the value between
    the two bins beside it."""
    fmin: float = Field(default=0.0, ge=0.0)
    """Hz, lower edge of the lowest band."""
    fmax: float = Field(default=8_000.0, gt=0.0)
    """Hz, upper edge of the highest band; at most half the sample rate."""
    power: float = Field(default=2.0, gt=0.0, le=4.0)
    """Exponent of the magnitude: 2 for power, 1 for magnitude."""
    floor_db: float = Field(default=-90.0, ge=-200.0, le=0.0)
    """Lowest value in dB re ``floor_reference``. The noise of 16-bit samples lies at about -87 dB, so only digital
    silence reaches the floor, and differs from a quiet recording by a few dB and not by the 70 dB of a floor at float
    epsilon."""
    floor_reference: Literal["full-scale", "recording"] = "full-scale"
    """``recording``: the floor lies ``floor_db`` re the root mean square of the recording, so that a gain, a quiet
    microphone or samples in pascal move all values alike and hide none. ``full-scale``: it lies at the same value in
    all recordings, as in the official baseline."""

    @model_validator(mode="after")
    def _a_clip_costs_bounded_work(self) -> Self:
        if not self.n_fft / _MOST_OVERLAPPING <= self.hop_length <= self.n_fft:
            raise ValueError(
                f"hop_length is {self.hop_length}; with n_fft={self.n_fft} it must lie between "
                f"{-(-self.n_fft // _MOST_OVERLAPPING)} and {self.n_fft}"
            )
        n_weights = self.n_mels * (self.n_fft // 2 + 1)
        if n_weights > _MOST_WEIGHTS:
            raise ValueError(
                f"n_mels={self.n_mels} with n_fft={self.n_fft} takes {n_weights:,} weights; at most {_MOST_WEIGHTS:,}"
            )
        return self


class AutoencoderSettings(StrictSettings):
    """Network that reconstructs segments of a log-mel spectrogram."""

    name: str = "convolutional"
    """Key of `soundness.representations.autoencoders.AUTOENCODERS`, or the import
    path of your own class, ``module:Class``."""
    is_conditional: bool = True
    """True if the condition (machine type, attributes, domain) is concatenated with the input."""
    segment_frames: int = Field(default=8, ge=1, le=2**14)
    """Frames in a segment."""
    channels: tuple[LayerSize, ...] = Field(default=(16, 32), min_length=1, max_length=32, strict=False)
    """Feature maps of the encoder's layers, or widths of dense ones; the decoder mirrors them."""
    first_stride: Literal[2, 4] = 4
    """Factor by which the first convolution shortens both axes; each of the others halves them."""
    latent_features: LayerSize = 8
    """Width of the bottleneck: narrow, so that an anomaly cannot be copied through."""
    is_standardised: bool = True
    """True if each band is standardised by its mean and deviation; otherwise bands stay in dB."""
    is_overlapping: bool = False
    """True if a clip is scored by the segments that begin at each of its frames; otherwise by consecutive ones."""
    error: Literal["squared", "signed", "log"] = "squared"
    """Error that the representation ``reconstruction-error`` pools over time: the residual (reference less its
    reconstruction) squared, with its sign, or its square in dB, at least -40 dB."""


class TrainingSettings(StrictSettings):
    """Training of the network."""

    batch_size: PositiveInt = 256
    """Segments in a batch."""
    learning_rate: float = Field(default=1e-3, gt=0.0)
    """Learning rate of Adam."""
    max_steps: PositiveInt = 600
    """Most batches, where positions are random."""
    n_epochs: PositiveInt | None = None
    """Passes over all positions of all clips, in random order; ``None`` for random positions."""
    steps_per_epoch: PositiveInt = 50
    """Batches between checkpoints and measurements of the held-out loss, where positions are random; with ``n_epochs``
    a pass takes their place."""
    patience: PositiveInt = 4
    """Measurements of the held-out loss without an improvement after which training stops early, where the best
    weights are kept."""
    held_out: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the training clips of each domain that is held out to stop early; 0 holds out none. With ``n_epochs``,
    share of the positions of each clip."""
    weights: Literal["best", "last"] = "best"
    """Weights that are kept: those with the smallest held-out loss, or the last ones of a training that never stops
    early."""
    accelerator: str = "cpu"
    """Accelerator of Lightning: ``cpu``, ``gpu``, ``mps``, ``auto``."""


_VIEWS_OF_KINDS: dict[PeakKind, ViewName] = {
    "event": "events",
    "dropout": "dropouts",
    "modulation": "modulation",
    "tone": "tones",
}


class SystemSettings(StrictSettings):
    """A whole system, from the recording to the decision."""

    name: str = Field(default="custom", pattern=r"^[^/\\]+$")
    """Name of the system, that of its settings file if it was loaded from one."""
    description: str = ""
    """The system in one line."""
    audio: AudioSettings = AudioSettings()
    log_mel: LogMelSettings = LogMelSettings()
    representation: str = "reconstruction-error"
    """Key of `soundness.representations.protocol.REPRESENTATIONS`, or the import path of
    your own class, ``module:Class``."""
    quantile: float = Field(default=0.3, gt=0.0, lt=1.0)
    """Quantile of each band over time, in ``quantile-log-mel``."""
    poolings: tuple[Pooling, ...] = Field(default=("mean",), min_length=1, max_length=64, strict=False)
    """Statistics of each band over time, in ``log-mel`` and ``reconstruction-error``, or of each value of the
    bottleneck over segments, in ``latent``: a view of the clip each. ``quantile-0.1`` is the 10 % quantile."""
    views: tuple[ViewName, ...] = Field(default=(), max_length=16, strict=False)
    """Views of a clip after those of ``poolings``, in ``log-mel``: see `soundness.settings.fields.ViewName`."""
    autoencoder: AutoencoderSettings | None = AutoencoderSettings()
    """``None`` in a system without a network."""
    training: TrainingSettings | None = TrainingSettings()
    """``None`` in a system without a network."""
    embedding: EmbeddingSettings = EmbeddingSettings()
    """Network of the representation ``discriminative-embedding``, which has no autoencoder."""
    scorer: ScorerSettings = ScorerSettings()
    separation: Literal["auto", "off", "augment", "denoise", "target=separated"] = "auto"
    """Use of separated machine sound. ``augment``: further training clips for the network; ``denoise``: it replaces
    every recording; ``target=separated``: the network reads a recording and reconstructs the sound separated from it.
    ``auto``: ``augment`` with a network and a separator, or clips to train one; ``denoise`` with a separator and no
    network; otherwise ``off``."""
    separator: SeparatorSettings = SeparatorSettings()
    """Separator that is trained for this system alone, with sample rate and channel of ``audio``; one that is loaded
    from a file has settings of its own."""
    scope: Literal["machine", "shared"] = "machine"
    """One network per machine, or one shared by all machines."""
    pseudo_labels: Literal["auto", "off", "clusters", "classifier"] = "auto"
    """Attributes of training clips that have none: none, the cluster that they belong to, or the most similar class of
    other machines. ``auto``: ``clusters`` on a machine without any attributes; where only some of its clips lack them,
    the most similar of the machine's own classes (as ``classifier`` does there)."""
    false_alarm_rate: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of normal clips that the threshold is meant to flag."""
    calibration: Literal["left-out", "held-out"] = "left-out"
    """Clips whose scores give threshold and p-values. ``left-out``: all training clips, each left out of memory bank
    and whitening, though not of a network; ``held-out``: clips that are kept out of the training."""
    dependence: Literal["find", "ignore"] = "ignore"
    """Training clips that are not independent. ``find``: copies of a recording count once, and clips that share sound
    are left out together; ``ignore``: each is taken as a recording of its own."""
    group_by: str = ""
    """Training clips that are left out together by their names, with ``dependence`` ``find``: ``folder``, ``prefix``
    (the name up to its last number), or a regular expression whose first group, or the whole of it, is the same text in
    the clips of a group; empty for none."""
    calibration_blocks: Literal["auto", "off"] = "off"
    """Order in time of the training clips, by their names or the times of their files. ``auto``: where normal sound
    wanders, calibration is by clips that came later than those that they are compared with; ``off``: the order does not
    matter."""
    screening: Literal["set-aside", "keep", "ask"] = "keep"
    """Training clips that are not like the others, beyond what chance gives; they are always named. ``set-aside``:
    the detector is made without them; ``keep``: with them; ``ask``: the training refuses."""
    calibration_share: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Share of the training clips of each domain that is held out, where calibration is ``held-out``."""

    @property
    def needs_details(self) -> bool:
        """True if clips need finer spectra than their log-mel."""
        return not _DETAILED.isdisjoint(self.views)

    @property
    def frame_seconds(self) -> float:
        """Time from one frame of a log-mel to the next."""
        return self.log_mel.hop_length / self.audio.sample_rate

    def deciding(self) -> dict[str, Any]:
        """Settings that a score depends on, as values of JSON: all but name and description."""
        return self.model_dump(mode="json", exclude={"name", "description"})

    @model_validator(mode="after")
    def _parts_of_an_autoencoder_go_together(self) -> Self:
        if (self.autoencoder is None) != (self.training is None):
            raise ValueError("autoencoder and training go together: both are false in a system without a network")
        return self

    @model_validator(mode="after")
    def _further_views_are_those_of_a_log_mel(self) -> Self:
        if self.views and self.representation != "log-mel":
            raise ValueError(
                f"views is {', '.join(self.views)}, which needs representation 'log-mel'; it is {self.representation!r}"
            )
        if len(set(self.views)) < len(self.views):
            raise ValueError(f"views is {', '.join(self.views)}; expected each once")
        return self

    @model_validator(mode="after")
    def _tests_look_at_the_views_of_their_kinds(self) -> Self:
        if self.scorer.peaks and self.scorer.name == "fused":
            raise ValueError("scorer.peaks needs the scorer 'joined'; scorer.name is 'fused'")
        for peak in self.scorer.peaks if self.views else ():
            view = _VIEWS_OF_KINDS[peak.kind]
            place = len(self.poolings) + self.views.index(view) if view in self.views else None
            if peak.view >= len(self.poolings) and peak.view != place:  # bands of any pooling may be tested
                expected = f"is view {place}" if place is not None else "is not among views"
                raise ValueError(f"scorer.peaks: {peak.kind} at view {peak.view}; {view!r} {expected}")
        return self

    @model_validator(mode="after")
    def _bands_fit_the_sample_rate(self) -> Self:
        if self.log_mel.fmax > self.audio.sample_rate / 2:
            raise ValueError(
                f"log_mel.fmax is {self.log_mel.fmax:g} Hz; at most half of audio.sample_rate, "
                f"{self.audio.sample_rate / 2:g} Hz, can be used"
            )
        if self.log_mel.fmin >= self.log_mel.fmax:
            raise ValueError(
                f"log_mel.fmin ({self.log_mel.fmin:g} Hz) must lie below log_mel.fmax ({self.log_mel.fmax:g} Hz)"
            )
        if self.log_mel.frequency_scale == "log" and self.log_mel.fmin == 0.0:
            raise ValueError("log_mel.frequency_scale log needs a log_mel.fmin above 0 Hz, such as 1")
        return self

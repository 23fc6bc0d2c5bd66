"""Networks that reconstruct normal sound, and the segments of a log-mel that they read."""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from soundness.errors import SettingsError
from soundness.plugins import find_part
from soundness.representations.protocol import NetworkFit
from soundness.settings.system import AutoencoderSettings, SystemSettings

__all__ = [
    "AUTOENCODERS",
    "ConvolutionalAutoencoder",
    "FitResult",
    "FullyConnectedAutoencoder",
    "NewAutoencoder",
    "Reconstructor",
    "TimeConvolutionalAutoencoder",
    "autoencoder_settings",
    "deciding_settings",
    "new_reconstructor",
    "overlapping_segments",
    "split_into_segments",
]


class NewAutoencoder(Protocol):
    """Class of `torch.nn.Module` in `AUTOENCODERS`.

    Its ``forward(segments, conditions)`` takes standardised log-mel segments of shape ``(batch, mel, frame)``, in units
    of each band's deviation, and encoded conditions of shape ``(batch, n_conditions)``; it returns a reconstruction of
    shape ``(batch, mel, frame)``. For the representation ``latent``, ``encode(segments, conditions)`` returns the
    bottleneck's activations, shape ``(batch, latent)``.
    """

    def __call__(self, settings: AutoencoderSettings, *, n_mels: int, n_conditions: int) -> nn.Module:
        """Make an untrained network."""


class ConvolutionalAutoencoder(nn.Module):
    """The report's autoencoder: strided 2-D convolutions around a narrow linear bottleneck.

    The first layer of the encoder shortens both axes by ``first_stride``, since the largest maps take most of the time,
    and each of the others halves them: mel bands and frames must be multiples of all of it. The condition is
    concatenated with the input: one constant map per feature. Feature maps lie channels last in memory, which takes 0.7
    times as long on a CPU.
    """

    def __init__(self, settings: AutoencoderSettings, *, n_mels: int, n_conditions: int) -> None:
        super().__init__()
        channels, first_stride = settings.channels, settings.first_stride
        factor = first_stride * 2 ** (len(channels) - 1)
        for name, size in (("log_mel.n_mels", n_mels), ("autoencoder.segment_frames", settings.segment_frames)):
            if size % factor != 0:
                raise SettingsError(f"{name} is {size}; {len(channels)} layers need a multiple of {factor}")
        self.inner = (channels[-1], n_mels // factor, settings.segment_frames // factor)
        flat, latent = math.prod(self.inner), settings.latent_features
        self.encoder = nn.Sequential(*_encoder_layers(1 + n_conditions, channels, first_stride=first_stride))
        self.to_latent = nn.Linear(flat, latent)
        self.from_latent = nn.Sequential(nn.Linear(latent, flat), nn.ReLU(inplace=True))
        self.decoder = nn.Sequential(*_decoder_layers(channels, first_stride=first_stride))

    def forward(self, segments: Tensor, conditions: Tensor) -> Tensor:
        """Reconstruct segments; shapes as in `NewAutoencoder`."""
        hidden = self.from_latent(self.encode(segments, conditions)).unflatten(1, self.inner)
        reconstruction: Tensor = self.decoder(hidden.contiguous(memory_format=torch.channels_last))
        return reconstruction[:, 0]

    def encode(self, segments: Tensor, conditions: Tensor) -> Tensor:
        """The bottleneck, shape ``(batch, latent)``."""
        maps = conditions[:, :, None, None].expand(-1, -1, *segments.shape[1:])
        stacked = torch.cat([segments[:, None], maps], dim=1)  # (batch, 1 + feature, mel, frame)
        hidden = self.encoder(stacked.contiguous(memory_format=torch.channels_last))  # (batch, channel, mel', frame')
        latent: Tensor = self.to_latent(hidden.flatten(1))
        return latent


class FullyConnectedAutoencoder(nn.Module):
    """The report's other autoencoder, and the official baseline's: dense layers on the frames of a segment, stacked.

    ``channels`` are the widths of the encoder's hidden layers, which the decoder mirrors; each has batch normalisation
    and ReLU. The condition is concatenated with the input.
    """

    def __init__(self, settings: AutoencoderSettings, *, n_mels: int, n_conditions: int) -> None:
        super().__init__()
        n_inputs = n_mels * settings.segment_frames
        inward = (n_inputs + n_conditions, *settings.channels, settings.latent_features)
        outward = (settings.latent_features, *settings.channels[::-1])
        self.encoder = nn.Sequential(*_dense_layers(inward))
        self.decoder = nn.Sequential(*_dense_layers(outward), nn.Linear(outward[-1], n_inputs))

    def forward(self, segments: Tensor, conditions: Tensor) -> Tensor:
        """Reconstruct segments; shapes as in `NewAutoencoder`."""
        reconstruction: Tensor = self.decoder(self.encode(segments, conditions))
        return reconstruction.reshape(segments.shape)

    def encode(self, segments: Tensor, conditions: Tensor) -> Tensor:
        """The bottleneck after its ReLU, shape ``(batch, latent)``."""
        stacked = segments.flatten(1)  # (batch, mel * frame)
        if conditions.shape[1] > 0:
            stacked = torch.cat([stacked, conditions], dim=1)
        latent: Tensor = self.encoder(stacked)
        return latent


class TimeConvolutionalAutoencoder(nn.Module):
    """An autoencoder of convolutions over time, each of which reads all bands, around a narrow linear bottleneck.

    A kernel of the 2-D convolutions is the same in all bands, though a machine's bands are not alike; here each band
    has weights of its own. ``channels`` are the feature maps of the encoder's layers, each of which halves the frames,
    which must be a multiple of all of it; the decoder mirrors them. The condition is concatenated with the input: a
    constant row per feature.
    """

    def __init__(self, settings: AutoencoderSettings, *, n_mels: int, n_conditions: int) -> None:
        super().__init__()
        channels, frames = settings.channels, settings.segment_frames
        factor = 2 ** len(channels)
        if frames % factor != 0:
            raise SettingsError(
                f"autoencoder.segment_frames is {frames}; {len(channels)} layers need a multiple of {factor}"
            )
        self.inner = (channels[-1], frames // factor)
        flat, latent = math.prod(self.inner), settings.latent_features
        encoder: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise((n_mels + n_conditions, *channels)):
            encoder += [nn.Conv1d(n_in, n_out, 4, 2, 1, bias=False), nn.BatchNorm1d(n_out), nn.ReLU(inplace=True)]
        decoder: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(channels[::-1]):
            convolution = nn.ConvTranspose1d(n_in, n_out, 4, 2, 1, bias=False)
            decoder += [convolution, nn.BatchNorm1d(n_out), nn.ReLU(inplace=True)]
        self.encoder = nn.Sequential(*encoder)
        self.to_latent = nn.Linear(flat, latent)
        self.from_latent = nn.Sequential(nn.Linear(latent, flat), nn.ReLU(inplace=True))
        self.decoder = nn.Sequential(*decoder, nn.ConvTranspose1d(channels[0], n_mels, 4, 2, 1))

    def forward(self, segments: Tensor, conditions: Tensor) -> Tensor:
        """Reconstruct segments; shapes as in `NewAutoencoder`."""
        hidden = self.from_latent(self.encode(segments, conditions)).unflatten(1, self.inner)
        reconstruction: Tensor = self.decoder(hidden)
        return reconstruction

    def encode(self, segments: Tensor, conditions: Tensor) -> Tensor:
        """The bottleneck, shape ``(batch, latent)``."""
        rows = conditions[:, :, None].expand(-1, -1, segments.shape[-1])
        latent: Tensor = self.to_latent(self.encoder(torch.cat([segments, rows], dim=1)).flatten(1))
        return latent


AUTOENCODERS: dict[str, NewAutoencoder] = {
    "convolutional": ConvolutionalAutoencoder,
    "time-convolutional": TimeConvolutionalAutoencoder,
    "fully-connected": FullyConnectedAutoencoder,
}


class Reconstructor(nn.Module):
    """An autoencoder with the scale of its input: each band in units of its deviation in the training.

    Parameters
    ----------
    autoencoder
        The network.
    mean, deviation
        Statistics of each band over all training frames, dB, shape ``(2, mel)``: of the input and of the reference.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, autoencoder: nn.Module, *, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, segments: Tensor, references: Tensor, conditions: Tensor) -> Tensor:
        """Residual of each segment, in deviations of its band.

        Parameters
        ----------
        segments, references
            Segments that are read and those that are to be reconstructed, dB, shape ``(batch, mel, frame)``.
        conditions
            Encoded conditions, shape ``(batch, feature)``.

        Returns
        -------
        Tensor
            References less their reconstruction, shape ``(batch, mel, frame)``.
        """
        scaled, scaled_references = self.scaled(segments, references)
        residual: Tensor = scaled_references - self.autoencoder(scaled, conditions)
        return residual

    def scaled(self, segments: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """Input and reference in units of their bands' deviations, about the means; dB, shape ``(..., mel, frame)``."""
        scaled, scaled_references = (
            (log_mel - self.mean[index, :, None]) / self.deviation[index, :, None]
            for index, log_mel in enumerate((segments, references))
        )
        return scaled, scaled_references


def new_reconstructor(settings: SystemSettings, *, n_conditions: int, mean: Tensor, deviation: Tensor) -> Reconstructor:
    """An untrained network of a system, on the scale of its training data; see `Reconstructor`.

    Raises
    ------
    SettingsError
        If the system has no network, or none of the name it asks for.
    """
    autoencoder = autoencoder_settings(settings)
    new_network = _find_autoencoder(autoencoder.name, has_encoder=settings.representation == "latent")
    network = new_network(autoencoder, n_mels=settings.log_mel.n_mels, n_conditions=n_conditions)
    return Reconstructor(network, mean=mean, deviation=deviation)


def autoencoder_settings(settings: SystemSettings) -> AutoencoderSettings:
    """Settings of a system's autoencoder.

    Raises
    ------
    SettingsError
        If it has none.
    """
    if settings.autoencoder is None:
        raise SettingsError(f"representation {settings.representation!r} needs a network; autoencoder is false")
    return settings.autoencoder


def _find_autoencoder(name: str, *, has_encoder: bool) -> NewAutoencoder:
    roles = ("__init__", "forward", "encode") if has_encoder else ("__init__", "forward")
    methods = {role: getattr(FullyConnectedAutoencoder, role) for role in roles}
    found: NewAutoencoder = find_part(name, AUTOENCODERS, key="autoencoder.name", methods=methods)
    if isinstance(found, type) and not issubclass(found, nn.Module):
        raise SettingsError(f"autoencoder.name: {name} is no torch.nn.Module")
    if has_encoder and not callable(getattr(found, "encode", None)):
        raise SettingsError(f"autoencoder.name: {name} lacks encode, which representation 'latent' needs")
    return found


def split_into_segments(log_mel: Tensor, *, n_frames: int) -> Tensor:
    """Segments that cover a spectrogram: one after the other, the last aligned with the end.

    A spectrogram shorter than a segment is repeated until it fills one.

    Parameters
    ----------
    log_mel
        Shape ``(mel, frame)``.
    n_frames
        Frames of a segment.

    Returns
    -------
    Tensor
        Shape ``(segment, mel, n_frames)``.
    """
    log_mel = _filled(log_mel, n_frames=n_frames)
    last = log_mel.shape[-1] - n_frames
    starts = [*range(0, last, n_frames), last]
    return torch.stack([log_mel[:, start : start + n_frames] for start in starts])


def overlapping_segments(log_mel: Tensor, *, n_frames: int) -> Tensor:
    """Segments that begin at each frame of a spectrogram; parameters and result as of `split_into_segments`."""
    return _filled(log_mel, n_frames=n_frames).unfold(1, n_frames, 1).transpose(0, 1)


def _filled(log_mel: Tensor, *, n_frames: int) -> Tensor:
    """A spectrogram that fills a segment, repeated if need be."""
    if log_mel.shape[-1] >= n_frames:
        return log_mel
    return log_mel.repeat(1, -(-n_frames // log_mel.shape[-1]))[:, :n_frames]


def _dense_layers(widths: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out, momentum=0.01, eps=1e-3), nn.ReLU(inplace=True)]
    return layers


def _encoder_layers(n_inputs: int, channels: tuple[int, ...], *, first_stride: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for index, (n_in, n_out) in enumerate(zip((n_inputs, *channels), channels, strict=False)):
        stride = first_stride if index == 0 else 2
        size = 2 * stride if index == 0 else 3
        convolution = nn.Conv2d(n_in, n_out, size, stride=stride, padding=stride // 2, bias=False)
        layers += [convolution, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
    return layers


def _decoder_layers(channels: tuple[int, ...], *, first_stride: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in zip(channels[::-1], channels[-2::-1], strict=False):
        convolution = nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]
    # Maps shuffled into one are a transposed convolution, too, and four times faster on a CPU than one that wide.
    return [*layers, nn.Conv2d(channels[0], first_stride**2, 3, padding=1), nn.PixelShuffle(first_stride)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult(NetworkFit):
    """A trained network and its training's outcome; losses in squared deviations of a band, or dB squared."""

    reconstructor: Reconstructor


def deciding_settings(settings: SystemSettings) -> dict[str, Any]:
    """Settings that the weights of a system's autoencoder depend on, as plain values."""
    only_of_scores = {"is_overlapping", "error"}
    return settings.model_dump(
        mode="json", include={"autoencoder", "training"}, exclude={"autoencoder": only_of_scores}
    )

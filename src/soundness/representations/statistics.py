"""Representations without a network: statistics of a clip's log-mel over time."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import Spectrograms
from soundness.errors import SettingsError
from soundness.files.stored_values import floats
from soundness.representations.protocol import FitContext, Fitted, MachineSpectrograms, NetworkPlan
from soundness.representations.views.by_name import ClipView, detailed_views
from soundness.representations.views.events import EventFilters
from soundness.settings.fields import Pooling, ViewName, quantile_of
from soundness.settings.system import SystemSettings

__all__ = [
    "MeanLogMel",
    "PooledLogMel",
    "QuantileLogMel",
    "Values",
    "band_statistics",
    "mean_over_time",
    "pooled",
    "quantile_over_time",
]

_SMALLEST_DEVIATION_DB = 1.0

Bands = NDArray[np.float32]


class MeanLogMel:
    """A clip becomes its mean log-mel: one vector, whatever the condition.

    Parameters
    ----------
    mean, deviation
        Statistics of each band over all training frames, dB, shape ``(mel,)``; they scale the error map, not the
        vector.
    """

    def __init__(self, *, mean: Bands, deviation: Bands) -> None:
        self.mean = mean
        self.deviation = deviation

    @classmethod
    def fit(
        cls,
        machines: Sequence[MachineSpectrograms],
        settings: SystemSettings,
        context: FitContext,  # noqa: ARG003  # as all representations
    ) -> list[Fitted]:
        """Scale the error map by each machine's clips; nothing else is learned."""
        fitted = []
        for machine in machines:
            mean, deviation = band_statistics([clip.reference for clip in machine.spectrograms])
            found = cls.from_arrays({"mean": mean, "deviation": deviation}, settings)
            fitted.append(Fitted(representation=found, view_sizes=found.view_sizes, n_bands=len(mean)))
        return fitted

    @classmethod
    def network_plan(cls, settings: SystemSettings) -> NetworkPlan | None:
        """``None``: no network is trained."""
        if settings.autoencoder is not None:
            raise SettingsError(
                f"representation {settings.representation!r} has no network; set autoencoder=false, too"
            )
        return None

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild from `arrays`."""
        return cls(**_scale(arrays, settings))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Mean and deviation, by name."""
        return {"mean": self.mean, "deviation": self.deviation}

    def vectors(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Mean of each band in dB, shape ``(1, mel)``."""
        return mean_over_time(clip.reference)[None]

    def error_map(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Squared distance from the band's mean, in its deviations, shape ``(mel, frame)``."""
        return np.square(self.deviation_map(clip))

    def deviation_map(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Distance from the band's mean with its sign, in the band's deviations, shape ``(mel, frame)``."""
        return (clip.reference - self.mean[:, None]) / self.deviation[:, None]

    @property
    def band_deviations(self) -> Bands:
        """Deviation of each band over all training frames, dB, shape ``(mel,)``."""
        return self.deviation

    @property
    def view_sizes(self) -> tuple[int, ...]:
        """Features of each view of a clip; empty where its vector is one view."""
        return ()


class QuantileLogMel(MeanLogMel):
    """A clip becomes a low quantile of its log-mel over time, which passing noise does not reach.

    Parameters
    ----------
    mean, deviation
        See `MeanLogMel`.
    quantile
        Between 0 and 1.
    """

    def __init__(self, *, mean: Bands, deviation: Bands, quantile: float) -> None:
        super().__init__(mean=mean, deviation=deviation)
        self.quantile = quantile

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild from `arrays`."""
        return cls(**_scale(arrays, settings), quantile=settings.quantile)

    def vectors(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Quantile of each band in dB, shape ``(1, mel)``."""
        return quantile_over_time(clip.reference, self.quantile)[None]


class PooledLogMel(MeanLogMel):
    """A clip becomes several statistics of its log-mel over time: a view for each, one after the other in its vector.

    Parameters
    ----------
    mean, deviation
        See `MeanLogMel`.
    poolings
        See `soundness.representations.statistics.pooled`.
    views
        Further views, see `soundness.settings.system.SystemSettings`.
    events
        Filters of the views ``events`` and ``dropouts``; ``None`` without them.
    detailed
        The views of details, by name.
    """

    def __init__(
        self,
        *,
        mean: Bands,
        deviation: Bands,
        poolings: Sequence[Pooling],
        views: Sequence[ViewName] = (),
        events: EventFilters | None = None,
        detailed: Mapping[ViewName, ClipView] = MappingProxyType({}),
    ) -> None:
        super().__init__(mean=mean, deviation=deviation)
        self.poolings, self.views, self.events, self.detailed = poolings, views, events, detailed

    @classmethod
    def fit(
        cls, machines: Sequence[MachineSpectrograms], settings: SystemSettings, context: FitContext
    ) -> list[Fitted]:
        """Scale the error map by each machine's clips, and learn the filters of events."""
        if not needs_events(settings.views):
            return super().fit(machines, settings, context)
        return [cls._fitted(machine, settings) for machine in machines]

    @classmethod
    def _fitted(cls, machine: MachineSpectrograms, settings: SystemSettings) -> Fitted:
        log_mels = [clip.reference for clip in machine.spectrograms]
        mean, deviation = band_statistics(log_mels)
        events, without = EventFilters.fit(log_mels, dependent=machine.dependent)

        found = cls._built(mean, deviation, settings, events)
        left_out = {id(filters): cls._built(mean, deviation, settings, filters) for filters in without}
        return Fitted(
            representation=found,
            view_sizes=found.view_sizes,
            n_bands=len(mean),
            left_out=tuple(left_out[id(filters)] for filters in without),
        )

    @classmethod
    def _built(cls, mean: Bands, deviation: Bands, settings: SystemSettings, events: EventFilters | None) -> Self:
        return cls(
            mean=mean,
            deviation=deviation,
            poolings=settings.poolings,
            views=settings.views,
            events=events,
            detailed=detailed_views(settings),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild from `arrays`."""
        scale = _scale(arrays, settings)
        events = None
        if needs_events(settings.views):
            events = EventFilters.from_arrays(arrays, n_bands=settings.log_mel.n_mels)
        return cls._built(scale["mean"], scale["deviation"], settings, events)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Mean, deviation and filters, by name."""
        return super().arrays() | ({} if self.events is None else self.events.arrays())

    @property
    def view_sizes(self) -> tuple[int, ...]:
        """Features of each view."""
        return (len(self.mean),) * self.n_band_views + tuple(self._size(name) for name in self.views)

    @property
    def n_band_views(self) -> int:
        """Number of views, the first ones, whose features are the bands of a spectrum."""
        return len(self.poolings)

    def vectors(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Views of a clip, one after the other, shape ``(1, feature)``; NaN where a further view cannot tell."""
        further = {name: self.detailed[name].features(clip) for name in self.views if name in self.detailed}
        if self.events is not None:
            further["events"], further["dropouts"] = self.events.extremes(clip.reference)
        own = [further[name].astype(np.float32) for name in self.views]
        return np.concatenate([*pooled(clip.reference, self.poolings), *own])[None]

    def _size(self, name: ViewName) -> int:
        if name in self.detailed:
            return self.detailed[name].size
        assert self.events is not None
        return self.events.size


def needs_events(views: Sequence[ViewName]) -> bool:
    """True if a view is computed by `EventFilters`."""
    return "events" in views or "dropouts" in views


def _scale(arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> dict[str, Bands]:
    """Mean and deviation of each band, from a file."""
    shape = (settings.log_mel.n_mels,)
    return {
        "mean": floats(arrays, "mean", shape, single=True),
        "deviation": floats(arrays, "deviation", shape, single=True, low=_SMALLEST_DEVIATION_DB),
    }


def band_statistics(log_mels: Sequence[NDArray[np.float32]]) -> tuple[Bands, Bands]:
    """Mean and deviation of each band over all frames of all clips, in dB.

    A deviation is at least 1 dB, so that a band in which nothing ever happened (above a microphone's cut-off, say) does
    not drown the others.

    Parameters
    ----------
    log_mels
        dB, each of shape ``(mel, frame)``.

    Returns
    -------
    tuple[NDArray[np.float32], NDArray[np.float32]]
        Shape ``(mel,)`` each.
    """
    n_frames = sum(log_mel.shape[-1] for log_mel in log_mels)
    mean = np.sum([log_mel.sum(axis=-1, dtype=np.float64) for log_mel in log_mels], axis=0) / n_frames
    squares = np.sum([np.square(log_mel - mean[:, None]).sum(axis=-1) for log_mel in log_mels], axis=0)
    deviation = np.maximum(np.sqrt(squares / n_frames), _SMALLEST_DEVIATION_DB)
    return mean.astype(np.float32), deviation.astype(np.float32)


Values = NDArray[np.float32]


def mean_over_time(values: Values) -> Values:
    """Mean over time, shape ``(..., mel)``; of an hour, and of any order in memory, to the digits of its type."""
    found: Values = values.mean(axis=-1, dtype=np.float64).astype(values.dtype)
    return found


def pooled(values: Values, poolings: Sequence[Pooling]) -> list[Values]:
    """One view for each pooling, shape ``(..., mel)``.

    Parameters
    ----------
    values
        Shape ``(..., mel, frame)``.
    poolings
        ``mean``, or quantiles such as ``quantile-0.1``.
    """
    return [_pooled(values, name) for name in poolings]


def quantile_over_time(values: Values, level: float) -> Values:
    """A quantile over time, shape ``(..., mel)``, between neighbouring values where it falls between two."""
    ordered = np.sort(values, axis=-1)  # a tenth of the time of NumPy's quantile, whose digits these are
    place = level * (values.shape[-1] - 1)
    before = math.floor(place)
    low, high = ordered[..., before], ordered[..., min(before + 1, values.shape[-1] - 1)]
    part = place - before
    found: Values = low + (high - low) * part if part < 0.5 else high - (high - low) * (1.0 - part)
    return found.astype(values.dtype)


def _pooled(values: Values, pooling: Pooling) -> Values:
    level = quantile_of(pooling)
    return mean_over_time(values) if level is None else quantile_over_time(values, level)

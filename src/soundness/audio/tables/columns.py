"""Choice of the columns of a table that are its channels, and their sample rate."""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Waveform
from soundness.errors import AudioError
from soundness.settings.system import AudioSettings

__all__ = ["Table", "TableSound", "as_columns", "chosen", "is_counter", "is_time_name"]

_TIME = re.compile(
    r"(?i)^(.*[/. ])?(time|t|timestamp|times|zeit|seconds|sec|abscissa|x_value)"
    r"(?:(?:\s*[/_\[(]\s*|\s+(?:in\s+)?)(ms|us|µs|μs|ns|s|sec|seconds)\s*[\])]?)?\s*$"
)
_RATE = re.compile(
    r"(?i)^(.*[/. ])?(fs|sr|rate|sample_?rate|sampling_?rate|samp_?freq|sampling_?frequency|f_?sample)(_?hz)?$"
)
_UNITS = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_SINCE_1970 = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))  # times without a unit from which on they are in another one
_UNEVEN = 0.05  # share of a step by which time may be off an even grid
_COARSE = 0.01  # share of a recording that the last digit of its times may be
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Numbers of a file.

    Parameters
    ----------
    columns
        Arrays of one axis by their names.
    rates
        Sample rates in Hz that the file states for columns of its own.
    rate
        Sample rate in Hz that it states for all of them, or ``None``.
    """

    columns: Mapping[str, NDArray[np.generic]]
    rates: Mapping[str, float] = field(default_factory=dict)
    rate: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TableSound:
    """Channels of a table, shape ``(time, channel)``, and their sample rate in Hz."""

    samples: Waveform
    sample_rate: int


def is_time_name(name: str) -> bool:
    """True for the name of a column of times."""
    return _TIME.match(name) is not None


def is_counter(values: NDArray[np.generic], *, only_times: bool = False) -> bool:
    """True for numbers that go up in even steps, which are times or count the rows, and are no sound.

    Parameters
    ----------
    values
        Numbers, shape ``(row,)``.
    only_times
        True for times alone, which do not go up by one from 0 or 1 on.
    """
    if values.dtype.kind not in "biuf" or len(values) < 3:
        return False
    steps = np.diff(values.astype(np.float64))
    is_even = bool(steps.min() > 0 and np.ptp(steps) <= 0.1 * steps.mean())
    counts = is_even and float(values[0]) in (0.0, 1.0) and bool((steps == 1.0).all())
    return is_even and not (only_times and counts)


def as_columns(name: str, values: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
    """Columns of an array: itself, or one for each index of the shorter of two axes."""
    values = np.squeeze(values) if values.ndim > 2 else values
    if values.ndim == 2 and 1 in values.shape:
        values = values.reshape(-1)
    if values.ndim < 2:
        return {name: np.atleast_1d(values)}
    if values.ndim > 2:
        return {}
    long = values if values.shape[0] >= values.shape[1] else values.T
    return {f"{name}[{index}]": long[:, index] for index in range(long.shape[1])}


def chosen(table: Table, audio: AudioSettings) -> TableSound:
    """Choose the channels of a table, and find their sample rate.

    Parameters
    ----------
    table
        Numbers of a file.
    audio
        Its ``rate`` goes before what the file states, and its ``columns`` are the channels.

    Raises
    ------
    AudioError
        If there is no such column, they differ in length or rate, or nothing states a rate.
    """
    numbers = {
        name: values for name, values in table.columns.items() if values.dtype.kind in "biuf" and len(values) > 1
    }
    time = _time_column(table)
    names = _named(numbers, audio.columns) if audio.columns else _all_but_time(numbers, time)
    if not names:
        raise AudioError(f"no column of numbers to take for a channel; there are {_listed(list(table.columns))}")
    lengths = {len(numbers[name]) for name in names}
    if len(lengths) > 1:
        raise AudioError(f"columns of different length: {_listed(names)}; --columns names those that are channels")
    rate = audio.rate if audio.rate is not None else _rate(table, names, time)
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused with what is not finite
        samples = np.stack([numbers[name] for name in names], axis=1).astype(np.float32)
    return TableSound(samples, max(round(rate), 1))


def _named(numbers: Mapping[str, NDArray[np.generic]], patterns: Sequence[str]) -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        own = [name for name in numbers if fnmatch.fnmatchcase(name.lower(), pattern.lower())]
        own = [pattern] if pattern in numbers else own
        if not own and pattern.isdecimal() and int(pattern) < len(numbers):
            own = [list(numbers)[int(pattern)]]
        if not own:
            raise AudioError(f"no column {pattern!r}; there are {_listed(list(numbers))}")
        found += [name for name in own if name not in found]
    return found


def _all_but_time(numbers: Mapping[str, NDArray[np.generic]], time: str | None) -> list[str]:
    names = [name for name in numbers if name != time]
    names = [name for name in names if not is_counter(numbers[name])] or names
    longest = max((len(numbers[name]) for name in names), default=0)
    return [name for name in names if len(numbers[name]) == longest]


def _time_column(table: Table) -> str | None:
    for name, values in table.columns.items():
        if len(values) > 1 and (values.dtype.kind == "M" or _TIME.match(name)):
            return name
    return None


def _rate(table: Table, names: Sequence[str], time: str | None) -> float:
    own = {table.rates[name] for name in names if name in table.rates}
    if len(own) > 1:
        raise AudioError("columns of different sample rate; --columns names those that are channels")
    if own:
        return own.pop()
    if table.rate is not None:
        return table.rate
    stated = [float(values[0]) for name, values in table.columns.items() if len(values) == 1 and _RATE.match(name)]
    if stated and stated[0] > 0:
        return stated[0]
    if time is not None and len(table.columns[time]) == len(table.columns[names[0]]):
        return _rate_of_times(time, table.columns[time])
    raise AudioError("states no sample rate; --rate HZ says it")


def _rate_of_times(name: str, times: NDArray[np.generic]) -> float:
    if times.dtype.kind == "M":
        seconds = (times - times[0]).astype("timedelta64[ns]").astype(np.float64) * 1e-9
    else:
        matched = _TIME.match(name)
        unit = "" if matched is None or matched[3] is None else matched[3].lower()
        seconds = times.astype(np.float64)
        seconds = (seconds - seconds[0]) * (_UNITS.get(unit, 1.0) if unit else _scale_of(float(seconds[0])))
    step = (seconds[-1] - seconds[0]) / (len(seconds) - 1)
    even = seconds[0] + step * np.arange(len(seconds))
    steps = np.diff(seconds)
    digit = float(steps[steps > 0].min(initial=np.inf)) if (steps == 0).any() else 0.0  # times are rounded to it
    allowed = max(10 * max(_UNEVEN * step, 1e-9), digit if digit <= _COARSE * seconds[-1] else 0.0)
    if not np.isfinite(step) or step <= 0 or np.abs(seconds - even).max() > allowed:
        raise AudioError(f"the steps of its column {name!r} are uneven; --rate HZ says the rate of even ones")
    return float(1 / step)


def _scale_of(first: float) -> float:
    """Seconds of a unit that times without one are in, by the first of them."""
    return next((scale for least, scale in _SINCE_1970 if first >= least), 1.0)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "none"

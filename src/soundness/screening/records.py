"""Record of a screening, kept with a detector and shown in its report."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from soundness.errors import DataError

__all__ = ["Screening", "ScreeningRecord", "Suspect", "are_kept", "check_kept", "undecided"]

_MOST_NAMES = 5

Screening = Literal["set-aside", "keep", "ask"]
"""Treatment of suspects: they do not enter the detector, they do, or the command refuses and names them."""


class Suspect(BaseModel):
    """A clip that is not like the others."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Folder and file."""
    p_value: float
    """Probability that a normal clip is as far from the others."""
    finding: str
    """What is anomalous about it, in words."""
    is_set_aside: bool
    """True if the detector was made without it."""

    def __str__(self) -> str:
        """Describe it in a line, such as: fan/19.wav: a tone near 3.1 kHz, 12 dB above the others (p-value 0.001)."""
        return f"{self.name}: {self.finding} (p-value {self.p_value:.2g})"


class ScreeningRecord(BaseModel):
    """Screening of the clips that a detector was made from."""

    model_config = ConfigDict(frozen=True)

    screening: Screening
    suspects: tuple[Suspect, ...] = ()
    """The most anomalous first."""
    p_values: dict[str, float] = {}
    """P-value of each clip against the others, by name; without those of domains that have too few clips."""
    threshold_with: float | None = None
    """Threshold of a detector with the suspects among its normal clips; ``None`` without suspects."""
    threshold_without: float | None = None
    """Threshold of one without them."""
    notes: tuple[str, ...] = ()
    """Groups of similar clips that were kept, and clips that could not be screened."""

    @property
    def set_aside(self) -> tuple[Suspect, ...]:
        """Suspects that the detector was made without."""
        return tuple(suspect for suspect in self.suspects if suspect.is_set_aside)

    @property
    def lines(self) -> tuple[str, ...]:
        """Description of suspects, their cost and groups, a line each."""
        cost = () if self.cost == "" else (self.cost,)
        if self.screening == "ask":  # the user has decided, or will
            return (*map(str, self.suspects), *cost, *self.notes)
        treated = (f"{each}: {'set aside' if each.is_set_aside else 'kept'}" for each in self.suspects)
        return (*treated, *cost, *self.notes)

    @property
    def cost(self) -> str:
        """Cost of the suspects in words; empty where it is not known."""
        with_them, without = self.threshold_with, self.threshold_without
        if with_them is None or without is None:
            return ""
        which = self.suspects[0].name if len(self.suspects) == 1 else f"these {len(self.suspects)}"
        verb = "falls" if without < with_them else "rises"
        if f"{with_them:.2g}" == f"{without:.2g}":
            return f"with or without {which} the threshold is {without:.2g}"
        return f"without {which} the threshold {verb} from {with_them:.2g} to {without:.2g}"


def undecided(records: Iterable[ScreeningRecord], *, kind: str) -> DataError | None:
    """Error that names the suspects of which nobody has decided, where the settings ask for that.

    Parameters
    ----------
    records
        Records of screenings.
    kind
        Kind of the clips, "training" or "new".
    """
    suspects = [suspect for record in records if record.screening == "ask" for suspect in record.set_aside]
    if not suspects:
        return None
    more = f"; and {len(suspects) - _MOST_NAMES} more" if len(suspects) > _MOST_NAMES else ""
    return DataError(
        f"{len(suspects)} {kind} clip(s) not like the others: {'; '.join(map(str, suspects[:_MOST_NAMES]))}{more}; "
        f"--keep FILE for each that is normal, or leave it out; --set screening=set-aside trains without them"
    )


def are_kept(paths: Iterable[Path], keep: Iterable[Path]) -> NDArray[np.bool_]:
    """True for each recording that the user says is normal, shape ``(recording,)``."""
    kept = {path.resolve() for path in keep}
    return np.array([path.resolve() in kept for path in paths], np.bool_)


def check_kept(keep: Sequence[Path], clips: Iterable[Path], *, kind: str) -> None:
    """Refuse a recording to keep that is none of the clips.

    Parameters
    ----------
    keep
        Recordings to keep.
    clips
        Files of the clips.
    kind
        Kind of the clips, "training" or "new".

    Raises
    ------
    DataError
        If there is one.
    """
    known = {path.resolve() for path in clips}
    for path in keep:
        if path.resolve() not in known:
            raise DataError(f"{path}: to be kept, but it is none of the {len(known)} {kind} recordings")

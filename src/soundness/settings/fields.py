"""Field types that settings share."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["LayerSize", "Pooling", "PositiveInt", "StrictSettings", "ViewName", "quantile_of"]

PositiveInt = Annotated[int, Field(ge=1)]

LayerSize = Annotated[int, Field(ge=1, le=2**16)]
"""Width or feature maps of a layer of a network."""


def quantile_of(pooling: str) -> float | None:
    """Number between 0 and 1 in ``quantile-0.1``; ``None`` for a pooling that is no quantile."""
    found = re.fullmatch(r"quantile-([0-9]*\.[0-9]+)", pooling)
    if found is None or not 0.0 < float(found[1]) < 1.0:
        return None
    return float(found[1])


def _checked_pooling(name: str) -> str:
    if name == "mean" or quantile_of(name) is not None:
        return name
    raise ValueError("expected mean, or a quantile between 0 and 1, such as quantile-0.1")


Pooling = Annotated[str, AfterValidator(_checked_pooling)]
"""Statistic of a band over time: ``mean``, or a quantile, such as ``quantile-0.1``."""


ViewName = Literal["events", "dropouts", "modulation", "tones"]
"""View of a clip beside the statistics of its log-mel over time. ``events``: largest short rises of bands that lie
together, or of all; ``dropouts``: largest short falls; ``modulation``: spectra of the envelopes of groups of bands, up
to 125 Hz; ``tones``: levels of the fine bins of a spectrum above their neighbourhood."""


class StrictSettings(BaseModel):
    """Immutable settings that refuse unknown keys and values of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

"""What all settings share."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["POOLING_NAMES", "Pooling", "PositiveInt", "StrictSettings", "quantile_of"]

PositiveInt = Annotated[int, Field(ge=1)]

POOLING_NAMES = ("mean", "deviation", "generalised-mean", "modulation", "change")
"""Poolings beside the quantiles."""


def quantile_of(pooling: str) -> float | None:
    """The number between 0 and 1 in ``quantile-0.1``; ``None`` of a pooling that is no quantile."""
    found = re.fullmatch(r"quantile-([0-9]*\.[0-9]+)", pooling)
    if found is None or not 0.0 < float(found[1]) < 1.0:
        return None
    return float(found[1])


def _checked_pooling(name: str) -> str:
    if name in POOLING_NAMES or quantile_of(name) is not None:
        return name
    raise ValueError(f"expected {', '.join(POOLING_NAMES)}, or a quantile between 0 and 1, such as quantile-0.1")


Pooling = Annotated[str, AfterValidator(_checked_pooling)]
"""What becomes of a band over time: one of `POOLING_NAMES`, or a quantile, such as ``quantile-0.1``."""


class StrictSettings(BaseModel):
    """Settings that cannot be changed once they are made, and refuse what they do not know or would have to convert."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

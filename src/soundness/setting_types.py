"""What all settings share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Pooling", "PositiveInt", "StrictSettings"]

PositiveInt = Annotated[int, Field(ge=1)]

Pooling = Literal["mean", "deviation", "quantile", "high-quantile", "generalised-mean", "modulation", "change"]
"""What becomes of a band over time."""


class StrictSettings(BaseModel):
    """Settings that cannot be changed once they are made, and refuse what they do not know or would have to convert."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

"""What all settings share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PositiveInt", "StrictSettings"]

PositiveInt = Annotated[int, Field(ge=1)]


class StrictSettings(BaseModel):
    """Settings that cannot be changed once they are made, and refuse what they do not know or would have to convert."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

"""Settings of a synthetic data set."""

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from soundness.errors import SettingsError
from soundness.synthetic.machines import MACHINES, machine_type

__all__ = ["FactorySettings"]


class FactorySettings(BaseModel, frozen=True, extra="forbid"):
    """Size and seed of a synthetic data set, the same for each machine.

    Parameters
    ----------
    machines
        Machine types, each once; all seven by default.
    n_train, n_target_train
        Normal training clips of both domains, and those of them of the target domain.
    n_test_normal, n_test_anomaly
        Test clips, half of them of each domain.
    n_supplemental
        Clean or noise-only clips.
    seconds
        Length of every clip.
    seed
        Random seed of rooms, noises and clips.
    n_workers
        Processes, which change no result; ``None`` for one for each core.

    Raises
    ------
    SettingsError
        If a machine is unknown or comes twice, or no training clip is left for the source domain.
    """

    machines: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(MACHINES)
    n_train: Annotated[int, Field(ge=1, le=9999)] = 60
    n_target_train: Annotated[int, Field(ge=0, le=9999)] = 10
    n_test_normal: Annotated[int, Field(ge=0, le=9999)] = 50
    n_test_anomaly: Annotated[int, Field(ge=0, le=9999)] = 50
    n_supplemental: Annotated[int, Field(ge=0, le=9999)] = 40
    seconds: Annotated[float, Field(ge=1.0, le=60.0, allow_inf_nan=False)] = 10.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    n_workers: Annotated[int | None, Field(ge=1, le=256)] = None

    @model_validator(mode="after")
    def _refuse_what_cannot_be_made(self) -> Self:
        for name in self.machines:
            machine_type(name)
            if self.machines.count(name) > 1:
                raise SettingsError(f"machines: {name!r} comes twice in {', '.join(self.machines)}")
        if self.n_target_train >= self.n_train:
            raise SettingsError(
                f"n_target_train is {self.n_target_train}: none of n_train = {self.n_train} is left for the source"
            )
        return self

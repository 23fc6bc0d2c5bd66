"""Published figures of the challenge; their sources are in ``published/README.md``."""

import csv
from collections.abc import Collection
from importlib import resources

from pydantic import BaseModel, ConfigDict

from soundness.evaluation.metrics import harmonic_mean

__all__ = ["PublishedFigures", "PublishedSystem", "published_systems"]


class PublishedFigures(BaseModel):
    """Published figures of one machine, fractions of 1."""

    model_config = ConfigDict(frozen=True)

    machine_type: str
    auc_source: float
    auc_target: float
    pauc: float


class PublishedSystem(BaseModel):
    """Published figures of all machines of a data set."""

    model_config = ConfigDict(frozen=True)

    name: str
    data_set: str
    machines: tuple[PublishedFigures, ...]

    @property
    def official_score(self) -> float:
        """Harmonic mean of every machine's three figures."""
        return harmonic_mean(
            figure for machine in self.machines for figure in (machine.auc_source, machine.auc_target, machine.pauc)
        )


def published_systems(machine_types: Collection[str]) -> list[PublishedSystem]:
    """Published systems of the data sets that hold exactly these machines.

    A machine of the same name may be a different recording of it; then the figures cannot be compared.

    Parameters
    ----------
    machine_types
        Machine types as the challenge writes them.
    """
    machine_types = set(machine_types)
    found = []
    folder = resources.files("soundness.benchmarking").joinpath("published")
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".csv"):
            continue
        by_system: dict[str, list[PublishedFigures]] = {}
        for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
            figures = {name: float(row[name]) / 100 for name in ("auc_source", "auc_target", "pauc")}
            machine = PublishedFigures(machine_type=row["machine_type"], **figures)
            by_system.setdefault(row["system"], []).append(machine)
        found += [
            PublishedSystem(name=name, data_set=file.name.removesuffix(".csv"), machines=tuple(machines))
            for name, machines in by_system.items()
            if machine_types == {machine.machine_type for machine in machines}
        ]
    return found

"""Which clips a data set holds: everything of a clip that is known before it sounds."""

import math
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from soundness.data.clips import DOMAINS, Domain, Label, Split
from soundness.synthetic.machines import Condition, fault_kinds, machine_type
from soundness.synthetic.settings import FactorySettings
from soundness.synthetic.signals import SAMPLE_RATE, generator

__all__ = ["ClipPlan", "plan_machine"]

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """One clip to be made. Its sound depends on nothing but these words.

    ``fault`` is the kind of anomaly, ``None`` for a normal clip; ``severity`` lies from 0 to 1.
    """

    seed: int
    machine: str
    split: Split
    domain: Domain
    label: Label
    index: int
    n_samples: int
    fault: str | None = None
    severity: float = 0.0

    @property
    def condition(self) -> Condition:
        """The operating condition: a domain's conditions take turns, within each kind of anomaly too."""
        conditions = machine_type(self.machine).conditions[self.domain]
        n_kinds = len(fault_kinds(self.machine))
        turn = self.index if self.label == "normal" else sum(divmod(self.index, n_kinds))
        return conditions[turn % len(conditions)]

    @property
    def path(self) -> PurePosixPath:
        """Place below the data set's root, as in the challenge."""
        return PurePosixPath(self.machine, self.split, self._name)

    @property
    def _name(self) -> str:
        if self.split == "supplemental":
            return machine_type(self.machine).supplemental_name.format(index=self.index)
        label = f"{self.domain}_{self.split}_{self.label}"
        return f"section_00_{label}_{self.index:04d}_{self.condition.name}.wav"

    def rng(self, purpose: str) -> np.random.Generator:
        """Generator of one purpose: what a fault draws changes nothing of the healthy machine."""
        return generator(self.seed, self.machine, self.split, self.domain, self.label, self.index, purpose)


def plan_machine(machine: str, settings: FactorySettings) -> list[ClipPlan]:
    """List the clips of a machine; a larger data set holds those of a smaller one."""
    half_normal, half_anomaly = settings.n_test_normal // 2, settings.n_test_anomaly // 2
    groups: list[tuple[Split, Domain, Label, int]] = [
        ("train", "source", "normal", settings.n_train - settings.n_target_train),
        ("train", "target", "normal", settings.n_target_train),
        ("test", "source", "normal", settings.n_test_normal - half_normal),
        ("test", "target", "normal", half_normal),
        ("test", "source", "anomaly", settings.n_test_anomaly - half_anomaly),
        ("test", "target", "anomaly", half_anomaly),
        ("supplemental", "source", "normal", settings.n_supplemental),
    ]
    return [
        _plan_clip(machine, split, domain, label, index, settings)
        for split, domain, label, n_clips in groups
        for index in range(n_clips)
    ]


def _plan_clip(
    machine: str, split: Split, domain: Domain, label: Label, index: int, settings: FactorySettings
) -> ClipPlan:
    n_samples = round(settings.seconds * SAMPLE_RATE)
    if label == "normal":
        return ClipPlan(settings.seed, machine, split, domain, label, index, n_samples)
    kinds = fault_kinds(machine)
    turn, which = divmod(index, len(kinds))
    severity = _severity(turn, which, domain)
    return ClipPlan(settings.seed, machine, split, domain, label, index, n_samples, kinds[which], severity)


def _severity(turn: int, which: int, domain: Domain) -> float:
    """Spread over 0 to 1 evenly within each kind of fault, for however many clips: golden-ratio steps."""
    offset = 0.35 * which + 0.5 * DOMAINS.index(domain)
    return round((offset + turn * _GOLDEN) % 1.0, 4)

"""Plan of a data set: its clips, with everything but their sound."""

import math
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from soundness.data.clips import DOMAINS, Domain, Label, Split
from soundness.synthetic.machines import OperatingCondition, fault_kinds, machine_type
from soundness.synthetic.settings import FactorySettings
from soundness.synthetic.signals import SAMPLE_RATE, generator

__all__ = ["ClipPlan", "plan_machine"]

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPlan:
    """Plan of one clip, which alone determines its sound.

    ``fault`` is the kind of anomaly, ``None`` for a normal clip; ``severity`` lies in [0, 1].
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
    def condition(self) -> OperatingCondition:
        """Operating condition: those of a domain in turn, within each kind of anomaly too."""
        conditions = machine_type(self.machine).conditions[self.domain]
        n_kinds = len(fault_kinds(self.machine))
        turn = self.index if self.label == "normal" else sum(divmod(self.index, n_kinds))
        return conditions[turn % len(conditions)]

    @property
    def path(self) -> PurePosixPath:
        """Path below the data set's root, as in the challenge."""
        return PurePosixPath(self.machine, self.split, self._name)

    @property
    def _name(self) -> str:
        if self.split == "supplemental":
            return machine_type(self.machine).supplemental_name.format(index=self.index)
        label = f"{self.domain}_{self.split}_{self.label}"
        return f"section_00_{label}_{self.index:04d}_{self.condition.name}.wav"

    def rng(self, purpose: str) -> np.random.Generator:
        """Generator of one purpose, so that a fault's random numbers change nothing of the healthy machine."""
        clip = (self.seed, self.machine, self.split, self.domain, self.label, self.index)
        return generator(*clip, purpose)


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
    plans, kinds = [], fault_kinds(machine)
    for split, domain, label, n_clips in groups:
        for index in range(n_clips):
            turn, which = divmod(index, len(kinds))
            plan = ClipPlan(
                seed=settings.seed,
                machine=machine,
                split=split,
                domain=domain,
                label=label,
                index=index,
                n_samples=round(settings.seconds * SAMPLE_RATE),
                fault=None if label == "normal" else kinds[which],
                severity=0.0 if label == "normal" else _severity(turn, which, domain),
            )
            plans.append(plan)
    return plans


def _severity(turn: int, which: int, domain: Domain) -> float:
    """Severity in golden-ratio steps, which cover [0, 1] evenly within each kind of fault for any number of clips."""
    offset = 0.35 * which + 0.5 * DOMAINS.index(domain)
    return round((offset + turn * _GOLDEN) % 1.0, 4)

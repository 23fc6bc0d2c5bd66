"""Trials: a system trained on the training clips of a folder, and judged by the test clips of one or several.

Every trial is a folder of detectors, scores and figures; what is there is not measured again. Recordings are read
once for all trials.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from arrangements import FeatureUnit
from soundness.audio.log_mel_cache import LogMelCache
from soundness.benchmarking.jobs import enter_worker
from soundness.detectors.bulk_scoring import score
from soundness.detectors.saving import load
from soundness.evaluation.metrics import harmonic_mean, partial_auc, roc_auc
from soundness.evaluation.results import Evaluation, evaluate
from soundness.scoring import TrainingVectors, find_scorer
from soundness.settings.loading import load_settings
from soundness.training.plan import Caches, TrainingPlan
from soundness.training.run import train_planned

__all__ = ["Outcome", "System", "Trial", "feature_figure", "outcomes"]


@dataclass(frozen=True)
class System:
    """A system and the settings in which it differs from the one of that name."""

    name: str
    overrides: tuple[str, ...] = ()
    seed: int = 0

    @property
    def all_overrides(self) -> tuple[str, ...]:
        """With separation off."""
        return ("separation=off", *self.overrides)


@dataclass(frozen=True)
class Trial:
    """One system, trained on a folder, and the folders whose test clips it scores: its own where none is named."""

    system: System
    folder: Path
    tests: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """Official score of each test in per cent (the AUC where there is one domain), and seconds on one core."""

    figures: tuple[float, ...]
    training_seconds: float
    scoring_seconds: float
    n_scored: int
    identity: dict[str, str] = field(default_factory=dict)

    @property
    def figure(self) -> float:
        """Figure of the first test."""
        return self.figures[0]


def outcomes(work: Path, trials: Iterable[Trial]) -> list[Outcome]:
    """The outcome of each trial, one core each; in the order of the trials."""
    trials = list(trials)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=enter_worker) as pool:
        return list(pool.map(_outcome, [work] * len(trials), trials))


def feature_figure(unit: FeatureUnit, system: System) -> float:
    """Official score in per cent of a system's scorer on vectors that came from elsewhere."""
    settings = load_settings(system.name, overrides=system.all_overrides).scorer
    training = TrainingVectors.from_vectors(unit.training, unit.training_domains)
    scorer = find_scorer(settings.name).fit(training, settings)
    scores = np.array([scorer.score(vector[None]) for vector in unit.test])
    is_anomalous = unit.labels == 1
    domains = [is_anomalous | (unit.domains == domain) for domain in (0, 1)]
    figures = [roc_auc(unit.labels[some], scores[some]) for some in domains]
    return 100 * harmonic_mean([*figures, partial_auc(unit.labels, scores)])


def _outcome(work: Path, trial: Trial) -> Outcome:
    """Measure, unless it was measured before."""
    tests = trial.tests or (trial.folder,)
    settings = load_settings(trial.system.name, overrides=trial.system.all_overrides)
    identity = {
        "settings": settings.deciding(),
        "seed": trial.system.seed,
        "folder": trial.folder,
        "tests": tests,
    }
    key = hashlib.sha256(json.dumps(identity, default=str, sort_keys=True).encode()).hexdigest()[:16]
    kept = work / "trials" / key / "outcome.json"
    if not kept.exists():
        outcome = _measured(work, kept.parent, trial, tests)
        named = replace(outcome, identity={name: str(value) for name, value in identity.items()})
        kept.write_text(json.dumps(asdict(named), indent=2), encoding="utf-8")
    found = json.loads(kept.read_text(encoding="utf-8"))
    return Outcome(**{**found, "figures": tuple(found["figures"])})


def _measured(work: Path, out: Path, trial: Trial, tests: tuple[Path, ...]) -> Outcome:
    store, system = LogMelCache(work / "spectrograms"), trial.system
    settings = load_settings(system.name, overrides=system.all_overrides)
    started = time.perf_counter()
    plan = TrainingPlan(settings=settings, seed=system.seed)
    train_planned(trial.folder, out / "run", plan, existing="replace", caches=Caches(log_mels=store))
    trained = time.perf_counter()
    detectors = {name: replace(found, cache=store) for name, found in load(out / "run").items()}
    figures, n_scored = [], 0
    for index, test in enumerate(tests):
        scores = out / f"scores-{index}"
        report = score(detectors, [test], scores, overwrite=True, n_workers=1)
        figures.append(_figure(evaluate(scores)))
        n_scored += report.n_scored
    return Outcome(tuple(figures), trained - started, time.perf_counter() - trained, n_scored)


def _figure(evaluation: Evaluation) -> float:
    """Official score of the one machine, in per cent."""
    (machine,) = evaluation.machines
    official = (machine.figures.auc_source, machine.figures.auc_target, machine.figures.pauc)
    if machine.n_normal_source == machine.n_normal:  # one domain
        return 100 * float(machine.figures.auc or 0.0)
    return 100 * harmonic_mean([float(value or 0.0) for value in official])

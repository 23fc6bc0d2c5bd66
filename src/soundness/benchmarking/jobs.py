"""The jobs of a benchmark: one system with one seed each, side by side on the cores there are."""

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from soundness.aliases import Progress
from soundness.audio.log_mel_cache import LogMelCache
from soundness.benchmarking.results import Measured, place_of
from soundness.data.datasets import Machine
from soundness.detectors.bulk_scoring import score_clips
from soundness.detectors.saving import load_detectors
from soundness.errors import OutputError, SoundnessError
from soundness.evaluation.bootstrap import bootstrap_intervals
from soundness.evaluation.results import evaluate
from soundness.representations.network_cache import NetworkCache
from soundness.representations.protocol import network_plan
from soundness.settings.system import SystemSettings
from soundness.training.duration import expected_seconds
from soundness.training.run import train

__all__ = ["Entry", "Job", "enter_worker", "run_all"]

_SETTINGS_OF_A_NETWORK = {"audio", "log_mel", "separation", "pseudo_labels", "scope"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A system that takes part.

    Parameters
    ----------
    name
        What it is called in tables, and its folder.
    settings
        Of the system.
    """

    name: str
    settings: SystemSettings

    @property
    def is_random(self) -> bool:
        """Whether a seed changes anything: the weights of a network, or which clips are held out."""
        return network_plan(self.settings) is not None or self.settings.calibration == "held-out"


@dataclass(frozen=True, slots=True)
class Job:
    """One system with one seed, and everything that a process needs to run it; all of it can be pickled."""

    entry: Entry
    seed: int
    data: Path
    truth: Path
    machines: tuple[str, ...]
    separator: Path | None
    out: Path
    identity: str

    @property
    def run(self) -> Path:
        """Folder of its detectors."""
        return place_of(self.out, "runs", self.entry.name, self.seed)

    @property
    def scores(self) -> Path:
        """Folder of its scores."""
        return place_of(self.out, "scores", self.entry.name, self.seed)

    @property
    def figures(self) -> Path:
        """File of its figures: once it is there, the job is finished."""
        return self.out / "figures" / self.entry.name / f"seed-{self.seed}.json"

    def finished(self) -> Measured | None:
        """What it measured, if it ran before with the same data and settings."""
        try:
            kept = json.loads(self.figures.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if kept["identity"] != self.identity:
            raise OutputError(f"{self.figures}: measured with other data or settings; --overwrite begins anew")
        return Measured.model_validate(kept["measured"])


def run_all(
    jobs: Sequence[Job], machines: Sequence[Machine], *, n_workers: int | None, progress: Progress | None
) -> Iterator[tuple[Measured | None, str, Job]]:
    """What each job measured, or why it failed, as they end.

    Side by side, one core each, those that take longest first.
    """
    waiting = []
    n_done = 0
    for job in jobs:
        measured = job.finished()
        if measured is None:
            waiting.append(job)
            continue
        n_done += 1
        yield measured, "", job
    if not waiting:
        return
    cost = {job.entry.name: expected_seconds(job.entry.settings, machines) for job in waiting}
    waiting.sort(key=lambda job: -cost[job.entry.name])
    chains = _chains(waiting)
    workers = min(len(chains), n_workers if n_workers is not None else os.cpu_count() or 1)
    spawn = multiprocessing.get_context("spawn")  # a forked process would inherit torch's threads
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=enter_worker) as pool:
        pending = {pool.submit(_run, chain[0]): chain for chain in chains}
        try:
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    job, *others = pending.pop(future)
                    if others:
                        pending[pool.submit(_run, others[0])] = others
                    n_done += 1
                    if progress is not None:
                        progress("systems and seeds", n_done, len(jobs))
                    yield *future.result(), job
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _chains(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs in their order; those that train the same network follow each other, so that it is trained once."""
    chains: dict[str, list[Job]] = {}
    for job in jobs:
        settings = job.entry.settings
        plan = network_plan(settings)
        key = job.identity
        if plan is not None and plan.trained_with is not None:
            shared = settings.model_dump_json(include=_SETTINGS_OF_A_NETWORK)
            key = f"{plan.name} {json.dumps(plan.trained_with)} {shared} {job.separator} {job.seed}"
        chains.setdefault(key, []).append(job)
    return list(chains.values())


def enter_worker() -> None:
    """One core for each process, which ends with the one that started it, however that ended."""
    torch.set_num_threads(1)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(job: Job) -> tuple[Measured | None, str]:
    """What a job measured; or a line that says why it could not."""
    try:
        return _measure(job), ""
    except SoundnessError as error:
        return None, str(error)


def _measure(job: Job) -> Measured:
    store, networks = LogMelCache(job.out / "spectrograms"), NetworkCache(job.out / "networks")
    started = time.perf_counter()
    train(
        job.data,
        job.run,
        system=job.entry.name,
        settings=job.entry.settings,
        separator=job.separator,
        machines=job.machines,
        seed=job.seed,
        resume=True,
        store=store,
        networks=networks,
    )
    trained = time.perf_counter()
    detectors = {name: replace(detector, cache=store) for name, detector in load_detectors(job.run).items()}
    score_clips(detectors, [job.data], job.scores, overwrite=True, n_workers=1)
    scored = time.perf_counter()
    intervals = bootstrap_intervals(job.scores, rng=np.random.default_rng(job.seed), truth=job.truth)
    measured = Measured(
        system=job.entry.name,
        seed=job.seed,
        evaluation=evaluate(job.scores, truth=job.truth),
        interval=intervals.score,
        training_seconds=trained - started + networks.seconds_spared,
        scoring_seconds=scored - trained,
    )
    kept = {"identity": job.identity, "measured": measured.model_dump(mode="json")}
    job.figures.parent.mkdir(parents=True, exist_ok=True)
    partial = job.figures.with_suffix(".partial")
    partial.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    partial.replace(job.figures)
    return measured

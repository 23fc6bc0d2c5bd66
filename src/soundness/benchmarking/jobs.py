"""Jobs of a benchmark: one system with one seed each, side by side on the cores there are."""

import hashlib
import json
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from soundness.aliases import PathLike, Progress
from soundness.audio.log_mel_cache import LogMelCache
from soundness.benchmarking.results import Measured, place_of
from soundness.data.datasets import Machine
from soundness.detectors.bulk_scoring import score
from soundness.detectors.saving import load
from soundness.errors import BundleError, OutputError, SoundnessError
from soundness.evaluation.bootstrap import bootstrap_intervals
from soundness.evaluation.results import evaluate
from soundness.files.atomic import write_whole
from soundness.files.sealed import SUFFIX
from soundness.files.stored_values import json_values, stored_value
from soundness.regular_files import NotAFileError, read_regular
from soundness.representations.protocol import network_plan
from soundness.separation.saving import load_separator
from soundness.settings.system import SystemSettings
from soundness.training.duration import expected_seconds
from soundness.training.plan import Caches, TrainingPlan
from soundness.training.run import train_planned

if TYPE_CHECKING:  # loads PyTorch
    from soundness.representations.network_cache import NetworkCache

__all__ = ["Job", "SharedSeparators", "enter_worker", "is_random", "plan_jobs", "run_all"]

_LOGGER = logging.getLogger(__name__)

_SETTINGS_OF_A_NETWORK = {"audio", "log_mel", "separation", "pseudo_labels", "scope"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One system with one seed, and everything that a process needs to run it; all of it can be pickled."""

    settings: SystemSettings
    seed: int
    data: Path
    truth: Path
    machines: tuple[str, ...]
    separator: Path | None
    out: Path
    identity: str

    @property
    def name(self) -> str:
        """Name of the system, with the seed if it changes anything."""
        return f"{self.settings.name}, seed {self.seed}" if is_random(self.settings) else self.settings.name

    @property
    def run(self) -> Path:
        """Folder of its detectors."""
        return place_of(self.out, "runs", self.settings.name, self.seed)

    @property
    def scores(self) -> Path:
        """Folder of its scores."""
        return place_of(self.out, "scores", self.settings.name, self.seed)

    @property
    def figures(self) -> Path:
        """File of its figures; the job is finished once it is there."""
        return self.out / "figures" / self.settings.name / f"seed-{self.seed}.json"

    def finished(self) -> Measured | None:
        """Figures of an earlier run with the same data and settings; ``None`` if there was none."""
        try:
            kept = stored_value(dict[str, Any], json_values(read_regular(self.figures)), name="figures")
        except FileNotFoundError:
            return None
        except NotAFileError as error:
            raise OutputError(f"{self.figures}: {error.strerror}; remove it by hand") from error
        except BundleError as error:
            raise OutputError(f"{self.figures}: damaged ({error}); remove it by hand") from None
        if kept.get("identity") != self.identity:
            raise OutputError(f"{self.figures}: measured with other data or settings; --overwrite begins anew")
        try:
            return stored_value(Measured, kept.get("measured"), name="measured")
        except BundleError as error:
            raise OutputError(f"{self.figures}: damaged ({error}); remove it by hand") from None


def is_random(settings: SystemSettings) -> bool:
    """Return True if a seed changes anything: the weights of a network, or the clips that are held out."""
    return network_plan(settings) is not None or settings.calibration == "held-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSeparators:
    """Separators of a benchmark: the one of ``file`` or, by their settings, those trained on ``data`` into ``out``."""

    data: PathLike
    out: Path
    file: Path | None
    progress: Progress | None

    def for_system(self, settings: SystemSettings) -> Path | None:
        """File of the separator; ``None`` for a system that reads recordings as they are."""
        if settings.separation == "off":
            return None
        if self.file is not None:
            return self.file
        audio = settings.audio
        shared = settings.separator.model_copy(update={"sample_rate": audio.sample_rate, "channel": audio.channel})
        file = self.out / "separators" / f"{_short_hash(shared.model_dump(mode='json'))}{SUFFIX}"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            from soundness.separation.training import train_separator  # loads PyTorch

            train_separator(self.data, file, settings=shared, existing="resume", progress=self.progress)
        return file


def plan_jobs(
    systems: Sequence[SystemSettings],
    seeds: Sequence[int],
    separators: SharedSeparators,
    *,
    truth: Path | None,
    identity: Mapping[str, Any],
) -> Iterator[Job]:
    """Jobs of a benchmark, for which separators are trained; without anything random, the first seed alone."""
    data = Path(separators.data)
    for settings in systems:
        separator = separators.for_system(settings)
        fingerprint = "" if separator is None else load_separator(separator).fingerprint
        for seed in seeds if is_random(settings) else seeds[:1]:
            yield Job(
                settings=settings,
                seed=seed,
                data=data,
                truth=data if truth is None else truth,
                machines=tuple(identity["machine_types"]),
                separator=separator,
                out=separators.out,
                identity=_short_hash([settings.deciding(), seed, identity["data"], fingerprint, str(truth)]),
            )


def _short_hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def run_all(
    jobs: Sequence[Job], machines: Sequence[Machine], *, n_workers: int | None, progress: Progress | None
) -> Iterator[tuple[Measured | None, str, Job]]:
    """Run jobs side by side, one core each, those that take longest first.

    Yields
    ------
    tuple
        Figures of each job as it ends, ``None`` if it failed, and the reason then.
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
    cost = {job.settings.name: expected_seconds(job.settings, machines) for job in waiting}
    waiting.sort(key=lambda job: -cost[job.settings.name])
    chains = _chains(waiting)
    workers = min(len(chains), n_workers if n_workers is not None else os.cpu_count() or 1)
    idle: SimpleQueue[_Worker] = SimpleQueue()
    with ThreadPoolExecutor(workers) as pool, ExitStack() as stack:
        for _ in range(workers):
            idle.put(stack.enter_context(_Worker()))
        run = partial(_run_in, idle)
        pending = {pool.submit(run, chain[0]): chain for chain in chains}
        try:
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    job, *others = pending.pop(future)
                    if others:
                        pending[pool.submit(run, others[0])] = others
                    n_done += 1
                    if progress is not None:
                        progress("systems and seeds", n_done, len(jobs))
                    error = future.exception()
                    if error is not None:  # a bug, which keeps its traceback and leaves the other jobs alone
                        _LOGGER.error("%s", job.name, exc_info=error)
                        yield None, f"{type(error).__name__}: {error}", job
                    else:
                        yield *future.result(), job
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """A process that runs jobs, one after the other; where one kills it, the next gets a new one."""

    def __init__(self) -> None:
        self._pool = _new_process()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, job: Job) -> tuple[Measured | None, str]:
        """Figures of a job, or the reason of its failure."""
        try:
            return self._pool.submit(_run, job).result()
        except BrokenProcessPool:
            self._pool = _new_process()
            return None, "its process was killed: by hand, or by the system for want of memory"


def _new_process() -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")  # a forked process would inherit torch's threads
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=enter_worker)


def _run_in(idle: "SimpleQueue[_Worker]", job: Job) -> tuple[Measured | None, str]:
    worker = idle.get()
    try:
        return worker.run(job)
    finally:
        idle.put(worker)


def _chains(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs in their order; those that train the same network follow each other, so that it is trained once."""
    chains: dict[str, list[Job]] = {}
    for job in jobs:
        settings = job.settings
        plan = network_plan(settings)
        key = job.identity
        if plan is not None and plan.trained_with is not None:
            shared = settings.model_dump_json(include=_SETTINGS_OF_A_NETWORK)
            key = f"{plan.name} {json.dumps(plan.trained_with)} {shared} {job.separator} {job.seed}"
        chains.setdefault(key, []).append(job)
    return list(chains.values())


def enter_worker() -> None:
    """Limit a process to one core, and end it with the process that started it, however that ended."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for PyTorch, which is loaded by a job that needs it
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(job: Job) -> tuple[Measured | None, str]:
    """Figures of a job, or the reason of its failure."""
    try:
        return _measure(job), ""
    except SoundnessError as error:
        return None, str(error)


def _networks(job: Job) -> "NetworkCache | None":
    if network_plan(job.settings) is None:
        return None
    from soundness.representations.network_cache import NetworkCache  # loads PyTorch

    return NetworkCache(job.out / "networks")


def _measure(job: Job) -> Measured:
    store, networks = LogMelCache(job.out / "spectrograms"), _networks(job)
    started = time.perf_counter()
    plan = TrainingPlan(settings=job.settings, separator=job.separator, machines=job.machines, seed=job.seed)
    train_planned(job.data, job.run, plan, existing="resume", caches=Caches(log_mels=store, networks=networks))
    trained = time.perf_counter()
    detectors = {name: replace(detector, cache=store) for name, detector in load(job.run).items()}
    score(detectors, [job.data], job.scores, overwrite=True, n_workers=1)
    scored = time.perf_counter()
    intervals = bootstrap_intervals(job.scores, rng=np.random.default_rng(job.seed), truth=job.truth)
    measured = Measured(
        system=job.settings.name,
        seed=job.seed,
        evaluation=evaluate(job.scores, truth=job.truth),
        interval=intervals.score,
        training_seconds=trained - started + (0.0 if networks is None else networks.seconds_spared),
        scoring_seconds=scored - trained,
    )
    kept = {"identity": job.identity, "measured": measured.model_dump(mode="json")}
    write_whole(job.figures, json.dumps(kept, indent=2) + "\n")
    return measured

"""Every system on one data set, with several seeds: trained, scored and evaluated once, in parallel."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soundness.aliases import PathLike, Progress
from soundness.benchmarking.jobs import SharedSeparators, plan_jobs, run_all
from soundness.benchmarking.pictures import draw_benchmark, picture_files
from soundness.benchmarking.results import BenchmarkResult, Measured
from soundness.data.datasets import fingerprint, open_dataset
from soundness.errors import SettingsError
from soundness.extras import check_extra
from soundness.files.run_folders import Existing, begin_run, locked_folder
from soundness.settings.loading import load_settings, system_names
from soundness.settings.system import SystemSettings
from soundness.synthetic.make import is_synthetic
from soundness.training.separation import decide_separation

__all__ = ["BenchmarkPlan", "benchmark"]

_LOGGER = logging.getLogger(__name__)
_RUN_FILE = "benchmark.json"
_PARTS = ("runs", "scores", "figures", "separators", "spectrograms", "networks")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPlan:
    """Systems and seeds of a benchmark, and the data that they are trained and measured with.

    Parameters
    ----------
    systems
        Names of `soundness.system_names`, settings files, or settings; all systems where there are none.
    seeds
        Random seeds, each 0 or more.
    machines
        Machine types; all of them where none is named.
    separator
        File of a separator for all systems that use one; without it, those whose settings name a use of separated
        sound train one together, and others use none.
    truth
        A labelled data set, or the official evaluator's truth; ``None`` takes it from the data set.
    """

    systems: Sequence[PathLike | SystemSettings] = ()
    seeds: Sequence[int] = (0, 1, 2)
    machines: Sequence[str] = ()
    separator: PathLike | None = None
    truth: PathLike | None = None

    def __post_init__(self) -> None:
        """Check the seeds."""
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise SettingsError(f"seeds: {list(self.seeds)}; expected different ones, each 0 or more")

    def settings(self) -> list[SystemSettings]:
        """Settings of the systems.

        Raises
        ------
        SettingsError
            If a system is unknown, or two have the same name.
        """
        found: dict[str, SystemSettings] = {}
        for system in self.systems or system_names():
            settings = load_settings(system)
            if settings.name in found:
                raise SettingsError(f"systems: {settings.name!r} is named twice; each has a folder of its own")
            found[settings.name] = settings
        return list(found.values())


def benchmark(
    data: PathLike,
    out: PathLike,
    plan: BenchmarkPlan | None = None,
    *,
    overwrite: bool = False,
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[BenchmarkResult, list[Path]]:
    """Train, score and evaluate systems with several seeds, and write tables and pictures.

    Results of an earlier call with the same data and settings are kept. A recording is read once for all systems that
    share a log-mel spectrogram; systems share separators, and networks where they differ in the scoring alone. Systems
    in which nothing is random run with the first seed alone. Jobs run side by side, one core each, those that take
    longest first.

    Parameters
    ----------
    data
        A data set of any layout, with training clips and labelled test clips.
    out
        Folder for all of it: ``results.{json,csv,md}``, ``pictures``, and ``{runs,scores}/<system>/seed-<n>``.
    plan
        Systems, seeds and machines; all systems with the seeds 0, 1 and 2 where it is ``None``.
    overwrite
        Begin anew; an earlier benchmark in ``out`` is removed.
    n_workers
        Number of processes; the number of cores where it is ``None``.
    progress
        Called with a name of what is being done, the number of items done and the total.

    Returns
    -------
    tuple
        The figures, and the files that hold them.

    Raises
    ------
    SoundnessError
        If the data, the settings or the folder cannot be used; a system that fails is in the result instead.
    """
    check_extra()
    out, plan = Path(out), BenchmarkPlan() if plan is None else plan
    separator, truth = (None if path is None else Path(path) for path in (plan.separator, plan.truth))
    systems = plan.settings()
    dataset = open_dataset(data)
    for problem in dataset.problems:
        _LOGGER.warning("%s", problem)
    machines = dataset.chosen(plan.machines)
    decided = [
        decide_separation(dataset, one, has_separator=separator is not None and one.separation != "off")[0]
        for one in (_without_training(each, has_separator=separator is not None) for each in systems)
    ]
    identity = {
        "machine_types": [machine.machine_type for machine in machines],
        "data": fingerprint(clip for machine in machines for clip in machine.clips),
    }
    existing: Existing = "replace" if overwrite else "resume"
    with locked_folder(out, kind="benchmark"):
        begin_run(out, identity, kind="benchmark", file_name=_RUN_FILE, existing=existing, parts=lambda _: _PARTS)
        separators = SharedSeparators(data=dataset.root, out=out, file=separator, progress=progress)
        jobs = list(plan_jobs(decided, plan.seeds, separators, truth=truth, identity=identity))
        done: list[Measured] = []
        failures: list[str] = []
        for measured, failure, job in run_all(jobs, machines, n_workers=n_workers, progress=progress):
            if measured is not None:
                done.append(measured)
            else:
                failures.append(f"{job.name}: {failure}")
            _LOGGER.info("%s: %s", job.name, f"failed: {failure}" if measured is None else measured)
        order = {settings.name: index for index, settings in enumerate(systems)}
        result = BenchmarkResult(
            data=str(data),
            machine_types=tuple(machine.machine_type for machine in machines),
            separation={settings.name: settings.separation for settings in decided},
            measured=tuple(sorted(done, key=lambda one: (order[one.system], one.seed))),
            failures=tuple(failures),
            is_synthetic=any(is_synthetic(clip.path) for machine in machines for clip in machine.clips[:1]),
        )
        return result, _write(result, out, truth=Path(data) if truth is None else truth)


def _without_training(settings: SystemSettings, *, has_separator: bool) -> SystemSettings:
    """Settings that train no separator unless they name a use of it: none is trained unasked."""
    is_asked = has_separator or settings.separation != "auto"
    return settings if is_asked else settings.model_copy(update={"separation": "off"})


def _write(result: BenchmarkResult, out: Path, *, truth: Path) -> list[Path]:
    """Write tables, and pictures where there are new figures; return their files."""
    pictures = picture_files(result, out) if result.measured else []
    if pictures and not (result.is_written(out) and all(picture.exists() for picture in pictures)):
        draw_benchmark(result, out, truth=truth)
    return [*result.write(out), *pictures]

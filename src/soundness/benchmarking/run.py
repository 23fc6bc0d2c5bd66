"""Every system on one data set, with several seeds: trained, scored and evaluated once, in parallel."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundness.aliases import PathLike, Progress
from soundness.benchmarking.jobs import Entry, Job, run_all
from soundness.benchmarking.results import BenchmarkResult, Measured
from soundness.data.datasets import Dataset, fingerprint, open_dataset
from soundness.errors import SettingsError
from soundness.run_folders import begin_run
from soundness.sealed_files import SUFFIX
from soundness.separation.saving import load_separator
from soundness.separation.training import train_separator
from soundness.settings.loading import load_settings
from soundness.settings.system import SeparatorSettings, SystemSettings
from soundness.training.separation import decide_separation

__all__ = ["Entry", "benchmark", "entries_of"]

_LOGGER = logging.getLogger(__name__)

_RUN_FILE = "benchmark.json"
_PARTS = ("runs", "scores", "figures", "separators", "spectrograms", "networks")


def entries_of(systems: Sequence[str], *, overrides: Sequence[str] = ()) -> list[Entry]:
    """Systems by name, or from settings files, as they take part in a benchmark.

    Parameters
    ----------
    systems
        Names of `soundness.system_names`, or the paths of settings files.
    overrides
        ``key=value`` each, for all systems.

    Raises
    ------
    SettingsError
        If a system or a setting is unknown, or two systems have the same name.
    """
    entries: dict[str, Entry] = {}
    for system in systems:
        name = Path(system).stem if system.endswith(".toml") else system
        if name in entries:
            raise SettingsError(f"systems: {name!r} is named twice; each has a folder of its own")
        try:
            entries[name] = Entry(name, load_settings(system, overrides=overrides))
        except SettingsError as error:
            raise SettingsError(f"systems: {name}: {error}") from None
    if not entries:
        raise SettingsError("systems: none is named")
    return list(entries.values())


def benchmark(
    data: PathLike,
    out: PathLike,
    *,
    entries: Sequence[Entry],
    seeds: Sequence[int],
    machines: Sequence[str] = (),
    separator: Path | None = None,
    truth: Path | None = None,
    overwrite: bool = False,
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> BenchmarkResult:
    """Train, score and evaluate every system with every seed; what was finished before is not done again.

    A recording is heard once for all systems that hear it alike, a separator trained once for all that want the same,
    and so is a network of systems that differ only in how they score.
    Systems without a network have nothing random, and run with the first seed alone. Jobs run side by side, one core
    each, those that take longest first. One that fails is in the result; the others go on.

    Parameters
    ----------
    data
        A data set of any layout, with training clips and labelled test clips.
    out
        Folder for detectors, scores, separators and log-mels.
    entries
        From `entries_of`.
    seeds
        Each 0 or more.
    machines
        Machine types; all of them where none is named.
    separator
        A separator's file for all systems that use one; without it, they train what they need.
    truth
        As for `soundness.evaluate`; ``None`` takes it from the data set.
    overwrite
        Begin anew; an earlier benchmark in ``out`` is removed.
    n_workers
        Processes; the number of cores where it is ``None``.
    progress
        Is told what is going on, how much of it is done, and of how much.

    Raises
    ------
    DataError
        If the data set cannot be used.
    SettingsError
        If a system does not fit the data.
    OutputError
        If ``out`` holds anything else, or was measured with other data or settings.
    """
    out = Path(out)
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise SettingsError(f"seeds: {list(seeds)}; expected different ones, each 0 or more")
    dataset = open_dataset(data)
    chosen = dataset.chosen(machines)
    decided = [Entry(entry.name, _with_separation(entry, dataset, separator)) for entry in entries]
    identity = {
        "machine_types": [machine.machine_type for machine in chosen],
        "data": fingerprint(clip for machine in chosen for clip in machine.clips),
    }
    begin_run(
        out,
        identity,
        kind="benchmark",
        file_name=_RUN_FILE,
        existing="replace" if overwrite else "resume",
        parts=lambda _: _PARTS,
    )
    separators = _Separators(out, separator, data, progress)
    jobs = list(_jobs(decided, seeds, out, dataset, identity, truth, separators))
    done: list[Measured] = []
    failures: list[str] = []
    for measured, failure, job in run_all(jobs, chosen, n_workers=n_workers, progress=progress):
        if measured is not None:
            done.append(measured)
        if failure:
            failures.append(f"{job.entry.name}, seed {job.seed}: {failure}")
        _LOGGER.info("%s", _line(job, measured, failure))
    order = {entry.name: index for index, entry in enumerate(entries)}
    done.sort(key=lambda one: (order[one.system], one.seed))
    return BenchmarkResult(
        data=str(data),
        machine_types=tuple(machine.machine_type for machine in chosen),
        separation={entry.name: entry.settings.separation for entry in decided},
        measured=tuple(done),
        failures=tuple(failures),
    )


def _with_separation(entry: Entry, dataset: Dataset, separator: Path | None) -> SystemSettings:
    """Settings whose separation is decided; a separator is no matter to a system that uses none."""
    is_given = separator is not None and entry.settings.separation != "off"
    return decide_separation(dataset, entry.settings, has_separator=is_given)[0]


@dataclass(frozen=True, slots=True)
class _Separators:
    """Separators by their settings: the one that was given, or trained once for all that want the same."""

    out: Path
    given: Path | None
    data: PathLike
    progress: Progress | None

    def for_system(self, settings: SystemSettings) -> Path | None:
        """The separator's file; ``None`` for a system that hears recordings as they are."""
        if settings.separation == "off":
            return None
        if self.given is not None:
            return self.given
        audio = settings.audio
        wanted = settings.separator.model_copy(update={"sample_rate": audio.sample_rate, "channel": audio.channel})
        file = self.out / "separators" / f"{_short_hash(wanted.model_dump(mode='json'))}{SUFFIX}"
        if not file.exists():
            self._train(wanted, file)
        return file

    def _train(self, settings: SeparatorSettings, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        train_separator(self.data, file, settings=settings, resume=True, progress=self.progress)


def _jobs(
    entries: Sequence[Entry],
    seeds: Sequence[int],
    out: Path,
    dataset: Dataset,
    identity: Mapping[str, Any],
    truth: Path | None,
    separators: _Separators,
) -> Iterator[Job]:
    for entry in entries:
        separator = separators.for_system(entry.settings)
        heard_through = "" if separator is None else load_separator(separator).fingerprint
        for seed in seeds if entry.is_random else seeds[:1]:
            own = [entry.settings.deciding(), seed, identity["data"], heard_through, str(truth)]
            yield Job(
                entry,
                seed,
                dataset.root,
                dataset.root if truth is None else truth,
                tuple(identity["machine_types"]),
                separator,
                out,
                _short_hash(own),
            )


def _line(job: Job, measured: Measured | None, failure: str) -> str:
    name = f"{job.entry.name}, seed {job.seed}" if job.entry.is_random else job.entry.name
    if measured is None:
        return f"{name}: failed: {failure}"
    score = measured.evaluation.score
    figure = "no score" if score is None else f"score {100 * score:.1f} %"
    return f"{name}: {figure}, trained in {measured.training_seconds:.0f} s"


def _short_hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]

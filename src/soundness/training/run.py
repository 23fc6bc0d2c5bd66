"""Training of detectors: from a data set of normal recordings to a folder of detectors, one per machine."""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import PathLike, Progress
from soundness.data.datasets import Dataset, Machine, Selection, fingerprint, open_dataset
from soundness.detectors.detector import Detector
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.detectors.saving import load_detector, save_detector
from soundness.errors import SettingsError
from soundness.extras import check_extra, missing_extra
from soundness.files.atomic import output_errors
from soundness.files.run_folders import Existing, abandon_run, begin_run, finish_run, locked_folder, read_identity
from soundness.files.sealed import SUFFIX
from soundness.representations.protocol import (
    FitContext,
    Fitted,
    MachineSpectrograms,
    find_representation,
    network_plan,
)
from soundness.scoring.decisions.calibration import Calibration, Threshold
from soundness.scoring.protocol import Scorer, TrainingVectors
from soundness.scoring.scorers import find_scorer
from soundness.screening.records import check_kept, undecided
from soundness.settings.loading import DEFAULT_SYSTEM, load_settings
from soundness.settings.system import SystemSettings
from soundness.training.calibration import held_out_calibration, left_out_calibration, split_machine
from soundness.training.duration import forecast
from soundness.training.labelling import Labeller
from soundness.training.plan import Caches, TrainingPlan, check_parts
from soundness.training.preparation.clips import (
    check_training_clips,
    noise_clips,
    normal_clips_of,
    read_machine,
    reading_progress,
    training_vectors,
)
from soundness.training.preparation.cutting import CutMachine, cut_machine
from soundness.training.preparation.dependence import independent_clips, unshared_clips
from soundness.training.preparation.form import training_form
from soundness.training.preparation.screening import ScreenedClips, screen_clips, with_cost
from soundness.training.preparation.time_order import calibrated_in_order
from soundness.training.separation import decide_separation, read_separator
from soundness.training.short_clips import calibrated_lengths, has_short_clips, shortened_vectors
from soundness.training.summary import summarize, training_notes

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = ["train", "train_planned"]

_LOG = logging.getLogger(__name__)

_RUN_FILE = "run.json"
_WORK_FOLDER = "training"


def train(
    data: PathLike | Selection,
    out: PathLike,
    *,
    system: PathLike | SystemSettings = DEFAULT_SYSTEM,
    separator: PathLike | None = None,
    machines: Sequence[str] = (),
    seed: int = 0,
    existing: Existing = "refuse",
    progress: Progress | None = None,
) -> list[Detector]:
    """Train a detector for each machine of a data set and write it to ``out/<machine_type>.soundness``.

    Before it begins, the expected time is logged at INFO.

    Parameters
    ----------
    data
        A data set of any layout, or a folder of normal recordings. Its training clips are read and, if a separator is
        to be trained, its supplemental clips; never its test clips. `Selection.keep` names recordings that the
        screening leaves in.
    out
        Folder of the run, with logs and, during the training, checkpoints.
    system
        A name of `soundness.system_names`, a settings file, or settings from `soundness.load_settings`.
    separator
        File of a separator; without one, a system that needs it trains its own on the data set.
    machines
        Machine types to train; all if empty.
    seed
        Random seed, 0 or more.
    existing
        Treatment of an earlier run in ``out``: refuse, resume (with the same data, settings and seed), or replace it.
    progress
        Called with the name of the current step, the amount of it that is done and the total.

    Returns
    -------
    list[Detector]
        In the order of the machines' names.

    Raises
    ------
    SoundnessError
        If the data set, a training clip, a setting, ``separator`` or ``out`` cannot be used, or the extra ``train`` is
        not installed.
    """
    plan = TrainingPlan(
        settings=load_settings(system),
        separator=None if separator is None else Path(separator),
        machines=tuple(machines),
        seed=seed,
    )
    _check_packages(plan)
    return train_planned(data, out, plan, existing=existing, progress=progress)


def _check_packages(plan: "TrainingPlan") -> None:
    """Make sure that what a training needs is installed: PyTorch where there is a network or a separator."""
    check_extra("detectors")
    try:
        has_network = network_plan(plan.settings) is not None
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    if has_network or plan.separator is not None or plan.settings.separation not in ("off", "auto"):
        check_extra("train")


def train_planned(
    data: PathLike | Selection,
    out: PathLike,
    plan: TrainingPlan,
    *,
    existing: Existing = "refuse",
    caches: Caches | None = None,
    progress: Progress | None = None,
) -> list[Detector]:
    """Train detectors as `train` does, with caches."""
    check_parts(plan.settings)
    if plan.seed < 0:
        raise SettingsError(f"seed: {plan.seed}; expected 0 or more")
    dataset = open_dataset(data)
    for problem in dataset.problems if caches is None else ():  # a benchmark says it once for all systems
        _LOG.warning("%s", problem)
    run = _new_run(dataset, Path(out), plan, keep=data.keep if isinstance(data, Selection) else ())
    run = replace(run, resumes=existing == "resume", progress=progress, caches=Caches() if caches is None else caches)
    with locked_folder(run.out, kind="training"):
        if run.settings.screening == "ask":
            run.ask()
        made = run.open(existing)
        try:
            detectors = replace(run, out=made).train(dataset)
        except BaseException:
            abandon_run(run.out, made, file_name=_RUN_FILE)
            raise
        finish_run(run.out, made, file_name=_RUN_FILE, parts=_parts)
        return detectors


def _new_run(dataset: Dataset, out: Path, plan: TrainingPlan, *, keep: tuple[Path, ...]) -> "_Run":
    """Training of a plan on a data set, whose recordings are checked by their headers."""
    audio = plan.settings.audio
    cut = [
        cut_machine(machine, clip_seconds=audio.clip_seconds, audio=audio) for machine in dataset.chosen(plan.machines)
    ]
    chosen = [each.machine for each in cut]
    for machine in chosen:
        check_training_clips(machine, plan.settings)
    settings, notes = decide_separation(dataset, plan.settings, has_separator=plan.separator is not None)
    separator = None if plan.separator is None else read_separator(plan.separator, settings)
    split = {machine.machine_type: split_machine(machine, settings, seed=plan.seed) for machine in chosen}
    kept = {name: pair[0] for name, pair in split.items()}
    labeller = Labeller((dataset.machines | kept).values(), settings, seed=plan.seed)
    check_kept(keep, [clip.path for machine in chosen for clip in machine.train], kind="training")
    return _Run(
        out=out,
        settings=settings,
        seed=plan.seed,
        separator=separator,
        machines=tuple(kept.values()),
        held_out={name: pair[1] for name, pair in split.items()},
        labeller=labeller,
        notes=notes,
        keep=keep,
        cut={each.machine.machine_type: each for each in cut},
    )


def _parts(file: Path) -> list[str]:
    """Files and folders of a run, by the file of its identity."""
    return [*(f"{name}{SUFFIX}" for name in read_identity(file)["machine_types"]), _WORK_FOLDER]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One training of one system: its folder and everything that identifies it."""

    out: Path
    settings: SystemSettings
    seed: int
    separator: "Separator | None"
    machines: tuple[Machine, ...]
    held_out: dict[str, Machine]
    labeller: Labeller
    notes: tuple[str, ...]
    keep: tuple[Path, ...]
    cut: dict[str, CutMachine]
    resumes: bool = False
    caches: Caches = field(default_factory=Caches)
    progress: Progress | None = None

    def open(self, existing: Existing) -> Path:
        """Make the folder ready, and refuse one that holds anything else; earlier detectors stay until new ones do."""
        identity = {
            "system": self.settings.name,
            "settings": self.settings.deciding(),
            "seed": self.seed,
            "machine_types": [machine.machine_type for machine in self.machines],
            "data": fingerprint(
                clip
                for machine in [*self.machines, *self.held_out.values()]
                for clip in (*machine.train, *noise_clips(machine, self.settings))
            ),
            "keep": sorted(str(path.resolve()) for path in self.keep),
            "pseudo_labels": fingerprint(self.labeller.teachers(self.machines)),
            "separator": "" if self.separator is None else self.separator.fingerprint,
        }
        return begin_run(
            self.out,
            identity,
            kind="training",
            file_name=_RUN_FILE,
            existing=existing,
            parts=_parts,
            is_staged=True,
        )

    def ask(self) -> None:
        """Refuse clips that are not like the others, of all machines at once, before anything is trained."""
        plain = replace(self, settings=self.settings.model_copy(update={"separation": "off"}), separator=None)
        if error := undecided([plain._screened(machine).record for machine in self.machines], kind="training"):
            raise error

    def train(self, dataset: Dataset) -> list[Detector]:
        """Train all detectors, and before them the run's own separator if the system needs one."""
        groups = [self.machines] if self.settings.scope == "shared" else [(machine,) for machine in self.machines]
        needs_separator = self.settings.separation != "off" and self.separator is None
        if _LOG.isEnabledFor(logging.INFO):  # a forecast takes seconds
            _LOG.info(forecast(self.settings, groups, trains_separator=needs_separator))
        run = replace(self, separator=self._train_separator(dataset)) if needs_separator else self
        return [detector for group in groups for detector in run.train_group(group)]

    def _train_separator(self, dataset: Dataset) -> "Separator":
        """Train the run's own separator, on all machines of the data set."""
        from soundness.separation.training import train_separator

        audio = self.settings.audio
        settings = self.settings.separator.model_copy(
            update={"sample_rate": audio.sample_rate, "channel": audio.channel}
        )
        folder = self.out / _WORK_FOLDER
        try:
            trained = train_separator(
                dataset.root if dataset.selection is None else dataset.selection,
                folder / f"separator{SUFFIX}",
                settings=settings,
                seed=self.seed,
                existing="resume" if self.resumes else "refuse",
                progress=self.progress,
            )
        except BaseException:
            with suppress(OSError):  # an empty folder would look like a run
                folder.rmdir()
            raise
        return trained.separator

    def train_group(self, group: Sequence[Machine]) -> list[Detector]:
        """Train the machines that share a network, unless an interrupted run had finished them."""
        paths = [self.out / f"{machine.machine_type}{SUFFIX}" for machine in group]
        if self.resumes and all(path.exists() for path in paths):
            return [load_detector(path) for path in paths]
        screened = [self._screened(machine) for machine in group]
        clips = self.labeller.labelled(
            [each.clips for each in screened], self._reader(), advance=partial(reading_progress, progress=self.progress)
        )
        name = group[0].machine_type if self.settings.scope == "machine" else "shared"
        context = FitContext(
            seed=self.seed,
            folder=self.out / _WORK_FOLDER / name,
            resume=self.resumes,
            progress=None if self.progress is None else partial(self.progress, f"training {name}"),
            networks=self.caches.networks,
        )
        started = time.perf_counter()
        with output_errors(context.folder):  # logs and checkpoints
            fitted = find_representation(self.settings.representation).fit(clips, self.settings, context)
        seconds = time.perf_counter() - started
        detectors = [self._detector(*each, fit_seconds=seconds) for each in zip(clips, fitted, screened, strict=True)]
        for detector, path in zip(detectors, paths, strict=True):
            save_detector(detector, path)
        shutil.rmtree(context.folder / "checkpoints", ignore_errors=True)  # the detectors hold the weights now
        return detectors

    def _screened(self, machine: Machine) -> ScreenedClips:
        """Training clips of a machine without copies and suspects, and those held out of them without suspects."""
        held_out = self.held_out[machine.machine_type]
        parts = [part for part in (machine, held_out) if part.train]
        read = [read_machine(part, self._reader(), advance=self._advance(part)) for part in parts]
        clips = independent_clips(read[0], self.settings)
        rest = [unshared_clips(part, clips, self.settings) for part in read[1:]]
        return screen_clips(clips, self.settings, held_out=rest, keep=self.keep)

    def _reader(self) -> RecordingReader:
        return RecordingReader(FrontEnd(self.settings, self.separator), self.caches.log_mels)

    def _advance(self, machine: Machine) -> Callable[[], None]:
        return reading_progress(machine, progress=self.progress)

    def _detector(
        self, clips: MachineSpectrograms, fitted: Fitted, screened: ScreenedClips, *, fit_seconds: float
    ) -> Detector:
        started = time.perf_counter()
        cut = self.cut[clips.machine_type]
        vectors = training_vectors(clips, fitted)
        if has_short_clips(self.settings):
            short = shortened_vectors(clips, fitted, self.settings, cut.lengths.short_seconds)
            vectors = replace(vectors, shortened=short)
        scorer = find_scorer(self.settings.scorer.name).fit(vectors, self.settings.scorer)
        calibration = self._calibration(fitted, scorer, screened, vectors=vectors)
        threshold = Threshold.from_scores(calibration.scores, false_alarm_rate=self.settings.false_alarm_rate)
        seconds = {
            "reading": clips.seconds,
            "separating": clips.separation_seconds,
            "fitting": fit_seconds,
            "scoring": time.perf_counter() - started,
        }
        record = with_cost(screened, clips, fitted, scores=scorer.left_out_scores(), settings=self.settings)
        scorer_notes = (*scorer.notes(), *threshold.notes, *calibration.notes)
        formed = training_form(clips, self.settings)
        notes = (*formed.notes, *self.notes, *cut.notes, *training_notes(clips, fitted), *scorer_notes)
        summary = summarize(clips, fitted, settings=self.settings, seed=self.seed, seconds=seconds, notes=notes)
        separator_seconds = None if self.separator is None else self.separator.summary.seconds
        summary = summary.model_copy(update={"separator_seconds": separator_seconds, "screening": record})
        return Detector(
            machine_type=clips.machine_type,
            settings=self.settings,
            representation=fitted.representation,
            scorer=scorer,
            threshold=threshold,
            summary=summary,
            separator=self.separator if self.settings.separation in ("denoise", "target=separated") else None,
            calibration=calibration,
            normal_clips=normal_clips_of(clips, self.settings.audio),
            lengths=calibrated_lengths(cut.lengths, clips, scorer, vectors, self.settings, calibration=calibration),
            form=formed.form,
        )

    def _calibration(
        self, fitted: Fitted, scorer: Scorer, screened: ScreenedClips, *, vectors: TrainingVectors
    ) -> Calibration:
        if self.settings.calibration == "left-out":
            scores, domains = scorer.left_out_scores(), vectors.clip_domains
            calibration = left_out_calibration(screened.clips, scores, domains, self.settings)
            return calibrated_in_order(screened.clips, vectors, calibration, self.settings)
        return held_out_calibration(screened.held_out, fitted.representation, scorer)

"""From a data set of normal recordings to a folder of detectors, one per machine."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Announce, PathLike, Progress
from soundness.audio.log_mel import Spectrograms
from soundness.audio.log_mel_cache import LogMelCache
from soundness.data.datasets import Machine, fingerprint, open_dataset
from soundness.detectors.detector import Detector, TrainingSummary
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.detectors.saving import load_detector, save_detector
from soundness.errors import OutputError, SettingsError
from soundness.representations.protocol import (
    REPRESENTATIONS,
    FitContext,
    Fitted,
    MachineSpectrograms,
    Representation,
    find_representation,
    network_plan,
)
from soundness.run_folders import begin_run, package_versions
from soundness.scoring.calibration import Calibration, Threshold
from soundness.scoring.scorers import ANY_DOMAIN, Scorer, TrainingVectors, find_scorer
from soundness.sealed_files import SUFFIX
from soundness.settings.system import SystemSettings
from soundness.training.calibration import held_out_calibration, left_out_calibration, split_machine
from soundness.training.clips import check_training_clips, noise_clips, normal_clips_of, read_machine
from soundness.training.duration import forecast
from soundness.training.labelling import Labeller
from soundness.training.separation import decide_separation, given_separator

if TYPE_CHECKING:  # loads PyTorch
    from soundness.representations.network_cache import NetworkCache
    from soundness.separation.separator import Separator

__all__ = ["train"]

_RUN_FILE = "run.json"
_WORK_FOLDER = "training"

"""Is told what is going on, how much of it is done, and of how much."""


def train(
    data: PathLike,
    out: PathLike,
    *,
    system: str,
    settings: SystemSettings,
    separator: Path | None = None,
    machines: Sequence[str] = (),
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    store: LogMelCache | None = None,
    networks: "NetworkCache | None" = None,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> list[Detector]:
    """Train a detector for each machine of a data set and write it to ``out/<machine_type>.soundness``.

    Parameters
    ----------
    data
        A data set of any layout that `soundness.open_dataset` knows. Its training clips are read and, where a separator
        is to be trained, its supplemental clips; never its test clips.
    out
        The run's folder, with logs and, while the training lasts, checkpoints.
    system
        Name of the system, for the summary.
    settings
        Of the system, from `soundness.load_settings`.
    separator
        A separator's file; without one, a system that needs it trains its own on the data set.
    machines
        Machine types to train; all of them where none is named.
    seed
        Of everything random.
    resume
        Go on with a training that was interrupted, with the same data, settings and seed.
    overwrite
        Replace an earlier run in ``out``.
    store
        Where log-mels are kept between systems; ``None`` to keep none.
    networks
        Where trained networks are kept between systems; ``None`` to keep none.
    progress
        Is told what is going on; ``None`` for a silent training.
    announce
        Is told, before a long training, how long it is expected to take.

    Returns
    -------
    list[Detector]
        In the order of the machines' names.

    Raises
    ------
    DataError
        If the data set, or a training clip in it, cannot be used.
    SettingsError
        If a part that the settings name does not exist, or its settings do not fit.
    BundleError
        If ``separator`` is no separator.
    OutputError
        If ``out`` holds something already, or cannot be written.
    """
    _check_parts(settings)
    if seed < 0:
        raise SettingsError(f"seed: {seed}; expected 0 or more")
    dataset = open_dataset(data)
    chosen = dataset.chosen(machines)
    for machine in chosen:
        check_training_clips(machine, settings)
    settings, notes = decide_separation(dataset, settings, has_separator=separator is not None)
    given = given_separator(separator, settings)
    split = {machine.machine_type: split_machine(machine, settings, seed=seed) for machine in chosen}
    kept, held_out = ({name: pair[index] for name, pair in split.items()} for index in (0, 1))
    chosen = list(kept.values())
    labeller = Labeller((dataset.machines | kept).values(), settings, seed=seed)
    run = _Run(Path(out), system, settings, seed, chosen, held_out, labeller, notes, store, networks, progress)
    run.open(given, resume=resume, overwrite=overwrite)
    groups = [chosen] if settings.scope == "shared" else [[machine] for machine in chosen]
    if announce is not None:
        announce(forecast(settings, groups, trains_separator=settings.separation != "off" and given is None))
    if settings.separation != "off" and given is None:
        given = run.train_separator(data, resume=resume)
    return [detector for group in groups for detector in run.train_group(group, given, resume=resume)]


@dataclass(frozen=True, slots=True)
class _Run:
    """One training of one system: its folder and everything that identifies it."""

    out: Path
    system: str
    settings: SystemSettings
    seed: int
    machines: Sequence[Machine]
    held_out: dict[str, Machine]
    labeller: Labeller
    notes: tuple[str, ...]
    store: LogMelCache | None
    networks: "NetworkCache | None"
    progress: Progress | None

    def open(self, separator: "Separator | None", *, resume: bool, overwrite: bool) -> None:
        """Make the folder ready; refuse one that holds anything else."""
        identity = {
            "system": self.system,
            "settings": self.settings.deciding(),
            "seed": self.seed,
            "machine_types": [machine.machine_type for machine in self.machines],
            "data": fingerprint(
                clip
                for machine in [*self.machines, *self.held_out.values()]
                for clip in (*machine.train, *noise_clips(machine, self.settings))
            ),
            "pseudo_labels": fingerprint(self.labeller.teachers(self.machines)),
            "separator": "" if separator is None else separator.fingerprint,
        }
        begin_run(
            self.out,
            identity,
            kind="training",
            file_name=_RUN_FILE,
            existing="resume" if resume else "replace" if overwrite else "refuse",
            parts=lambda before: [*(f"{name}{SUFFIX}" for name in before["machine_types"]), _WORK_FOLDER],
        )

    def train_separator(self, data: PathLike, *, resume: bool) -> "Separator":
        """Train the run's own separator, on all machines of the data set."""
        from soundness.separation.training import train_separator

        audio = self.settings.audio
        trained = train_separator(
            data,
            self.out / _WORK_FOLDER / f"separator{SUFFIX}",
            settings=self.settings.separator.model_copy(
                update={"sample_rate": audio.sample_rate, "channel": audio.channel}
            ),
            seed=self.seed,
            resume=resume,
            progress=self.progress,
        )
        return trained.separator

    def train_group(self, group: Sequence[Machine], separator: "Separator | None", *, resume: bool) -> list[Detector]:
        """Train the machines that share a network, unless an interrupted run had finished them."""
        paths = [self.out / f"{machine.machine_type}{SUFFIX}" for machine in group]
        if resume and all(path.exists() for path in paths):
            return [load_detector(path) for path in paths]
        reader = RecordingReader(FrontEnd(self.settings, separator), self.store)
        heard = [read_machine(machine, reader, advance=self._advance(machine)) for machine in group]
        heard = self.labeller.labelled(heard, reader, advance=self._advance)
        name = group[0].machine_type if self.settings.scope == "machine" else "shared"
        tell = None if self.progress is None else partial(self.progress, f"training {name}")
        context = FitContext(self.seed, self.out / _WORK_FOLDER / name, resume, tell, self.networks)
        started = time.perf_counter()
        try:
            fitted = find_representation(self.settings.representation).fit(heard, self.settings, context)
        except OSError as error:
            raise OutputError(f"{context.folder}: logs or checkpoints cannot be written: {error.strerror}") from None
        seconds = time.perf_counter() - started
        detectors = [self._detector(*pair, separator, fit_seconds=seconds) for pair in zip(heard, fitted, strict=True)]
        for detector, path in zip(detectors, paths, strict=True):
            save_detector(detector, path)
        shutil.rmtree(context.folder / "checkpoints", ignore_errors=True)  # the detectors hold the weights now
        return detectors

    def _advance(self, machine: Machine) -> Callable[[], None]:
        counter = iter(range(1, 1 + len(machine.train)))

        def advance() -> None:
            if self.progress is not None:
                self.progress(f"reading {machine.machine_type}", next(counter), len(machine.train))

        return advance

    def _detector(
        self, heard: MachineSpectrograms, fitted: Fitted, separator: "Separator | None", *, fit_seconds: float
    ) -> Detector:
        started = time.perf_counter()
        domains = _domain_names(heard)
        vectors = _training_vectors(heard, fitted, domains)
        scorer = find_scorer(self.settings.scorer.name).fit(vectors, self.settings.scorer)
        calibration = self._calibration(heard, fitted, scorer, vectors, separator)
        threshold = Threshold.from_scores(calibration.scores, false_alarm_rate=self.settings.false_alarm_rate)
        seconds = {
            "reading": heard.seconds,
            "separating": heard.separation_seconds,
            "fitting": fit_seconds,
            "scoring": time.perf_counter() - started,
        }
        notes = (
            *self.notes,
            *heard.notes,
            *_domain_notes(domains),
            *_condition_notes(fitted),
            *fitted.notes,
            *scorer.notes(),
            *threshold.notes,
            *calibration.notes,
        )
        return Detector(
            machine_type=heard.machine_type,
            settings=self.settings,
            representation=fitted.representation,
            scorer=scorer,
            threshold=threshold,
            summary=self._summary(heard, fitted, separator, seconds, notes),
            separator=separator if self.settings.separation in ("denoise", "target=separated") else None,
            calibration=calibration,
            normal_clips=normal_clips_of(heard),
        )

    def _calibration(
        self,
        heard: MachineSpectrograms,
        fitted: Fitted,
        scorer: Scorer,
        vectors: TrainingVectors,
        separator: "Separator | None",
    ) -> Calibration:
        if self.settings.calibration == "left-out":
            scores = scorer.left_out_scores()
            names = enumerate(_domain_names(heard))
            by_domain = {name: scores[vectors.clip_domains == index] for index, name in names}
            return left_out_calibration(by_domain, self.settings)
        machine = self.held_out[heard.machine_type]
        return held_out_calibration(
            machine,
            fitted.representation,
            scorer,
            RecordingReader(FrontEnd(self.settings, separator), self.store),
            advance=self._advance(machine),
        )

    def _summary(
        self,
        heard: MachineSpectrograms,
        fitted: Fitted,
        separator: "Separator | None",
        seconds: dict[str, float],
        notes: tuple[str, ...],
    ) -> TrainingSummary:
        network = fitted.network
        clip_domains: list[str] = [clip.domain or "" for clip in heard.clips]
        return TrainingSummary(
            system=self.system,
            seed=self.seed,
            n_clips={domain: clip_domains.count(domain) for domain in _domain_names(heard)},
            conditions=tuple(str(condition) for condition in fitted.conditions),
            conditioned_on=fitted.encoder.told if fitted.encoder is not None else (),
            n_parameters=0 if network is None else network.n_parameters,
            n_steps=0 if network is None else network.n_steps,
            train_loss=None if network is None else network.train_loss,
            held_out_loss=None if network is None else network.held_out_loss,
            pseudo_labels=_pseudo_label_sizes(heard),
            separation=self.settings.separation,
            separator_seconds=None if separator is None else separator.summary.seconds,
            seconds=seconds,
            notes=notes,
            versions=package_versions(),
        )


def _check_parts(settings: SystemSettings) -> None:
    plan = network_plan(settings)
    find_scorer(settings.scorer.name)
    if settings.scope == "shared" and plan is None:
        raise SettingsError("scope is 'shared', but there is no network to share")
    has_covariances = settings.representation not in REPRESENTATIONS or (
        plan is not None and plan.has_frame_covariances
    )
    if settings.scorer.name == "mahalanobis" and not has_covariances:
        raise SettingsError(
            "scorer.name: 'mahalanobis' needs the covariance of single frames, which goes with "
            'representation=reconstruction-error, autoencoder.error=signed and poolings=["mean"]'
        )
    if plan is not None:
        plan.check()


def _domain_names(heard: MachineSpectrograms) -> list[str]:
    return sorted({clip.domain or "" for clip in heard.clips})


def _training_vectors(heard: MachineSpectrograms, fitted: Fitted, domains: list[str]) -> TrainingVectors:
    conditions = fitted.conditions
    own = [conditions.index(condition) if conditions else 0 for condition in heard.conditions]
    return TrainingVectors(
        vectors=np.stack([_vectors_of(fitted.representation, clip) for clip in heard.spectrograms]),
        own_conditions=np.array(own),
        clip_domains=np.array([domains.index(clip.domain or "") for clip in heard.clips]),
        condition_domains=np.array([domains.index(condition.domain) for condition in conditions] or [ANY_DOMAIN]),
        frame_covariances=fitted.frame_covariances,
        view_sizes=fitted.view_sizes,
        n_bands=fitted.n_bands,
    )


def _vectors_of(representation: Representation, clip: Spectrograms) -> NDArray[np.float64]:
    vectors: object = representation.vectors(clip)  # of a user's own class, perhaps
    if not isinstance(vectors, np.ndarray):
        raise SettingsError(
            f"representation: {type(representation).__name__}.vectors gives a {type(vectors).__name__}; "
            "expected a NumPy array of shape (condition, feature)"
        )
    return vectors.astype(np.float64)


def _pseudo_label_sizes(heard: MachineSpectrograms) -> dict[str, int]:
    return dict(sorted(Counter(str(heard.conditions[index]) for index in heard.pseudo_labelled).items()))


def _domain_notes(domains: list[str]) -> Iterator[str]:
    if domains == ["source"]:
        yield "no target-domain clips: what is normal there is judged by the source domain alone"
    if domains == ["target"]:
        yield "no source-domain clips: what is normal there is judged by the target domain alone"
    if domains == [""]:
        yield "no domains: all clips are taken as one"


def _condition_notes(fitted: Fitted) -> Iterator[str]:
    if fitted.network is None or fitted.encoder is None:
        return
    if not fitted.encoder.told:
        yield "nothing tells the clips' conditions apart: the network is not conditioned"
    elif not any(condition.attributes for condition in fitted.conditions):
        told = " and ".join(name.replace("_", " ") for name in fitted.encoder.told if name != "attributes")
        yield f"no attributes: the network is conditioned on the {told or 'section'} only"

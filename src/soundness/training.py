"""From a data set of normal recordings to a folder of detectors, one per machine."""

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from soundness.autoencoders import ReconstructionError
from soundness.bundle import SUFFIX, load_detector, save_detector
from soundness.conditions import Condition, ConditionEncoder, condition_of
from soundness.datasets import Machine, open_dataset
from soundness.detector import Detector, Representation, TrainingSummary
from soundness.errors import DataError, OutputError, SettingsError
from soundness.fitting import FitResult, TrainingClips, check_network, fit_reconstructor
from soundness.hearing import Heard, check_training_clips, hear
from soundness.log_mel_statistics import MeanLogMel, band_statistics
from soundness.scoring import ANY_DOMAIN, SCORERS, Threshold, TrainingVectors
from soundness.settings import AutoencoderSettings, SystemSettings

__all__ = ["FITTERS", "FitContext", "Fitted", "Progress", "train"]

_RUN_FILE = "run.json"
_WORK_FOLDER = "training"

Progress = Callable[[str, int, int], None]
"""Is told what is going on, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class FitContext:
    """How a representation is fitted, beside the system's settings.

    Parameters
    ----------
    seed
        Of everything random.
    folder
        Checkpoints and logs go below it.
    resume
        Go on from the last checkpoint there.
    progress
        Is told how many batches are done, and of how many at the most; ``None`` for a silent training.
    """

    seed: int
    folder: Path
    resume: bool
    progress: Callable[[int, int], None] | None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A representation that is ready to use, and what the scorer must know of it.

    Parameters
    ----------
    representation
        Of one machine.
    conditions
        The condition of each of its vectors, in order; empty where one vector counts for every domain.
    encoder
        What the network was told of a condition; ``None`` where it was told nothing.
    network
        How its network was trained; ``None`` without one.
    """

    representation: Representation
    conditions: tuple[Condition, ...] = ()
    encoder: ConditionEncoder | None = None
    network: FitResult | None = None


def fit_mean_log_mel(heard: Sequence[Heard], settings: SystemSettings, context: FitContext) -> list[Fitted]:  # noqa: ARG001  # as all fitters
    """Nothing is trained; only the error map has a scale, which each machine's clips give."""
    if settings.autoencoder is not None:
        raise SettingsError(f"representation {settings.representation!r} has no network; set autoencoder=false, too")
    scales = [band_statistics(machine.log_mels) for machine in heard]
    return [Fitted(MeanLogMel(mean=mean, deviation=deviation)) for mean, deviation in scales]


def fit_reconstruction_error(heard: Sequence[Heard], settings: SystemSettings, context: FitContext) -> list[Fitted]:
    """Train one network on all clips of all machines given."""
    if settings.autoencoder is None or settings.training is None:
        raise SettingsError(f"representation {settings.representation!r} needs autoencoder and training settings")
    own = [condition_of(clip) for machine in heard for clip in machine.clips]
    encoder = ConditionEncoder(tuple(sorted(set(own))) if settings.autoencoder.is_conditional else ())
    clips = TrainingClips(
        [log_mel for machine in heard for log_mel in machine.log_mels],
        encoder.encode(own),
        [f"{condition.machine_type} {condition.domain}" for condition in own],
    )
    network = fit_reconstructor(
        clips,
        settings,
        seed=context.seed,
        folder=context.folder,
        resume=context.resume,
        progress=context.progress,
    )
    return [_reconstruction_error(machine, settings.autoencoder, encoder, network) for machine in heard]


FITTERS: dict[str, Callable[[Sequence[Heard], SystemSettings, FitContext], list[Fitted]]] = {
    "reconstruction-error": fit_reconstruction_error,
    "mean-log-mel": fit_mean_log_mel,
}
"""How each of `soundness.detector.REPRESENTATIONS` is fitted to the machines that share it."""


def train(
    data: Path | str,
    out: Path | str,
    *,
    system: str,
    settings: SystemSettings,
    machines: Sequence[str] = (),
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Detector]:
    """Train a detector for each machine of a data set and write it to ``out/<machine_type>.soundness``.

    Parameters
    ----------
    data
        A data set of any layout that `soundness.open_dataset` knows; only its training clips are read.
    out
        The run's folder, with logs and, while the training lasts, checkpoints.
    system
        Name of the system, for the summary.
    settings
        Of the system, from `soundness.load_settings`.
    machines
        Machine types to train; all of them where none is named.
    seed
        Of everything random.
    resume
        Go on with a training that was interrupted, with the same data, settings and seed.
    overwrite
        Replace an earlier run in ``out``.
    progress
        Is told what is going on; ``None`` for a silent training.

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
    OutputError
        If ``out`` holds something already, or cannot be written.
    """
    _check_parts(settings)
    if seed < 0:
        raise SettingsError(f"seed: {seed}; expected 0 or more")
    if settings.autoencoder is not None:
        check_network(settings)
    chosen = _choose_machines(data, machines)
    for machine in chosen:
        check_training_clips(machine, settings)
    machine_types = [machine.machine_type for machine in chosen]
    run = _Run(Path(out), system, settings, seed, _fingerprint(chosen), machine_types, progress)
    run.open(resume=resume, overwrite=overwrite)
    groups = [chosen] if settings.scope == "shared" else [[machine] for machine in chosen]
    return [detector for group in groups for detector in run.train_group(group, resume=resume)]


@dataclass(frozen=True, slots=True)
class _Run:
    """One training of one system: its folder and everything that identifies it."""

    out: Path
    system: str
    settings: SystemSettings
    seed: int
    data: str
    machine_types: list[str]
    progress: Progress | None

    def open(self, *, resume: bool, overwrite: bool) -> None:
        """Make the folder ready; refuse one that holds anything else."""
        identity = {
            "system": self.system,
            "settings": self.settings.model_dump(mode="json"),
            "seed": self.seed,
            "machine_types": self.machine_types,
            "data": self.data,
        }
        file = self.out / _RUN_FILE
        try:
            if resume and file.exists():
                self._check_identity(file, identity)
                return
            if self.out.exists() and not self._is_bare():
                self._make_room(file, overwrite=overwrite)
            self.out.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{self.out}: cannot be written: {error.strerror}") from None

    def train_group(self, group: Sequence[Machine], *, resume: bool) -> list[Detector]:
        """Train the machines that share a network, unless an interrupted run had finished them."""
        paths = [self.out / f"{machine.machine_type}{SUFFIX}" for machine in group]
        if resume and all(path.exists() for path in paths):
            return [load_detector(path) for path in paths]
        heard = [hear(machine, self.settings, advance=self._advance(machine)) for machine in group]
        name = group[0].machine_type if self.settings.scope == "machine" else "shared"
        tell = None if self.progress is None else partial(self.progress, f"training {name}")
        context = FitContext(self.seed, self.out / _WORK_FOLDER / name, resume, tell)
        started = time.perf_counter()
        try:
            fitted = FITTERS[self.settings.representation](heard, self.settings, context)
        except OSError as error:
            raise OutputError(f"{context.folder}: logs or checkpoints cannot be written: {error.strerror}") from None
        seconds = time.perf_counter() - started
        detectors = [self._detector(*pair, fit_seconds=seconds) for pair in zip(heard, fitted, strict=True)]
        for detector, path in zip(detectors, paths, strict=True):
            save_detector(detector, path)
        shutil.rmtree(context.folder / "checkpoints", ignore_errors=True)  # the detectors hold the weights now
        return detectors

    def _is_bare(self) -> bool:
        """Whether the folder holds nothing, or a run that ended before it had learned anything."""
        return self.out.is_dir() and all(entry.name == _RUN_FILE for entry in self.out.iterdir())

    def _check_identity(self, file: Path, identity: dict[str, Any]) -> None:
        before = _read_run_file(file)
        for key, value in identity.items():
            if before.get(key) != value:
                raise OutputError(f"{self.out}: was started with another {key}; --resume goes on with the same one")

    def _make_room(self, file: Path, *, overwrite: bool) -> None:
        """Remove an earlier run, and nothing that is not part of one."""
        if not file.exists():
            raise OutputError(f"{self.out}: exists, and is not the folder of a run (no {_RUN_FILE}); choose another")
        if not overwrite:
            raise OutputError(f"{self.out}: exists already; --overwrite replaces it, --resume goes on with it")
        for name in _read_run_file(file)["machine_types"]:
            (self.out / f"{name}{SUFFIX}").unlink(missing_ok=True)
        shutil.rmtree(self.out / _WORK_FOLDER, ignore_errors=True)
        file.unlink()

    def _advance(self, machine: Machine) -> Callable[[], None]:
        counter = iter(range(1, 1 + len(machine.train)))

        def advance() -> None:
            if self.progress is not None:
                self.progress(f"reading {machine.machine_type}", next(counter), len(machine.train))

        return advance

    def _detector(self, heard: Heard, fitted: Fitted, *, fit_seconds: float) -> Detector:
        started = time.perf_counter()
        domains = _domain_names(heard)
        vectors = _training_vectors(heard, fitted, domains)
        scorer = SCORERS[self.settings.scorer.name].fit(vectors, self.settings.scorer)
        scores = scorer.leave_one_out_scores(vectors)
        threshold = Threshold.from_scores(
            {name: scores[vectors.clip_domains == index] for index, name in enumerate(domains)},
            false_alarm_rate=self.settings.false_alarm_rate,
        )
        seconds = {"reading": heard.seconds, "fitting": fit_seconds, "scoring": time.perf_counter() - started}
        notes = (
            *heard.notes,
            *_domain_notes(domains),
            *_condition_notes(fitted),
            *scorer.notes(),
            *threshold.notes,
        )
        return Detector(
            heard.machine_type,
            settings=self.settings,
            representation=fitted.representation,
            scorer=scorer,
            threshold=threshold,
            summary=self._summary(heard, fitted, seconds, notes),
        )

    def _summary(
        self, heard: Heard, fitted: Fitted, seconds: dict[str, float], notes: tuple[str, ...]
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
            seconds=seconds,
            notes=notes,
            versions={
                "python": platform.python_version(),
                **{name: version(name) for name in ("soundness", "torch", "numpy")},
            },
        )


def _read_run_file(file: Path) -> dict[str, Any]:
    try:
        identity = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        identity = None
    if not isinstance(identity, dict) or "machine_types" not in identity:
        raise OutputError(f"{file}: not the file of a run; remove {file.parent} by hand to start anew")
    return identity


def _fingerprint(machines: Sequence[Machine]) -> str:
    """Tells data sets apart by names, sizes and conditions of their training clips, wherever they lie."""
    clips = [clip for machine in machines for clip in machine.train]
    known = [
        (clip.machine_type, clip.path.name, clip.path.stat().st_size, str(condition_of(clip)), clip.section)
        for clip in clips
    ]
    return hashlib.sha256(json.dumps(sorted(known)).encode()).hexdigest()


def _check_parts(settings: SystemSettings) -> None:
    for key, name, known in (
        ("representation", settings.representation, FITTERS),
        ("scorer.name", settings.scorer.name, SCORERS),
    ):
        if name not in known:
            raise SettingsError(f"{key}: no {name!r}; there are {', '.join(known)}")


def _choose_machines(data: Path | str, names: Sequence[str]) -> list[Machine]:
    machines = open_dataset(data).machines
    unknown = [name for name in names if name not in machines]
    if unknown:
        raise DataError(f"{data}: no machine {unknown[0]!r}; there are {', '.join(machines)}")
    return [machine for name, machine in machines.items() if not names or name in names]


def _reconstruction_error(
    heard: Heard, settings: AutoencoderSettings, encoder: ConditionEncoder, network: FitResult
) -> Fitted:
    """One machine's share of a network: the conditions that occur on it."""
    conditions = tuple(sorted({condition_of(clip) for clip in heard.clips})) if encoder.n_features > 0 else ()
    encoded = encoder.encode(conditions) if conditions else torch.zeros(1, 0)
    representation = ReconstructionError(network.reconstructor, encoded, segment_frames=settings.segment_frames)
    return Fitted(representation, conditions, encoder if settings.is_conditional else None, network)


def _domain_names(heard: Heard) -> list[str]:
    return sorted({clip.domain or "" for clip in heard.clips})


def _training_vectors(heard: Heard, fitted: Fitted, domains: list[str]) -> TrainingVectors:
    conditions = fitted.conditions
    own = [conditions.index(condition_of(clip)) if conditions else 0 for clip in heard.clips]
    return TrainingVectors(
        np.stack([fitted.representation.vectors(log_mel).numpy().astype(np.float64) for log_mel in heard.log_mels]),
        np.array(own),
        np.array([domains.index(clip.domain or "") for clip in heard.clips]),
        np.array([domains.index(condition.domain) for condition in conditions] or [ANY_DOMAIN]),
    )


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

"""From the supplemental clips of a data set to a separator in a file, with a measurement of what it does."""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from soundness.aliases import PathLike, Progress, Waveform
from soundness.atomic_files import write_whole
from soundness.audio.reading import pick_channel, read_waveform
from soundness.data.clips import Clip
from soundness.data.datasets import Machine, fingerprint, open_dataset
from soundness.errors import DataError, OutputError, SettingsError, audio_errors_at
from soundness.lightning_loop import count_parameters
from soundness.run_folders import check_identity, package_versions
from soundness.sealed_files import FORMATS, check_kind
from soundness.separation.measurement import Example, measure_improvement
from soundness.separation.mixtures import MachineSounds, Recipe, recipes_of
from soundness.separation.saving import load_separator, save_separator
from soundness.separation.separator import Improvement, Separator, SeparatorFit, SeparatorSummary
from soundness.settings.system import SeparatorSettings

__all__ = ["SNR_DB", "TrainedSeparator", "train_separator"]

SNR_DB = (-5.0, 0.0, 5.0)
"""Levels of the machine above the noise at which a separator is measured."""

_RUN_FILE = "run.json"
_FIT_FOLDER = "fit"
_FEWEST_TO_HOLD_OUT = 2


@dataclass(frozen=True, slots=True)
class TrainedSeparator:
    """A separator, and one separated mixture of each machine at 0 dB; none where it had been finished before."""

    separator: Separator
    examples: tuple[Example, ...]


def train_separator(
    data: PathLike,
    out: PathLike,
    *,
    settings: SeparatorSettings,
    machines: Sequence[str] = (),
    start: Path | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrainedSeparator:
    """Train a separator on the clean-machine and noise-only clips of a data set and write it to a file.

    One separator serves all machines. A tenth of each machine's supplemental clips is held out and measured at the end.
    While the training lasts, its checkpoints lie in ``<out>.training``.

    Parameters
    ----------
    data
        A data set of any layout that `soundness.open_dataset` knows. Its test clips are not read, and its training
        clips only of what it holds no clean clips of.
    out
        The separator's file.
    settings
        Of the separator.
    machines
        Machine types whose sound is learned, with noise from all of them; all where none is named.
    start
        A separator to begin with, such as a shared one that is fine-tuned to one machine.
    seed
        Of everything random.
    resume
        Go on with a training that was interrupted, with the same data, settings and seed.
    overwrite
        Replace an earlier separator in ``out``, or an interrupted training of it.
    progress
        Is told what is going on, how much of it is done, and of how much.

    Raises
    ------
    DataError
        If the data set lacks noise-only clips, or anything to mix them with, or a clip cannot be used.
    SettingsError
        If the settings do not fit.
    BundleError
        If ``start`` is no separator.
    OutputError
        If ``out`` exists already, or cannot be written.
    """
    from soundness.lightning_loop import check_accelerator
    from soundness.separation.fitting import fit_separator

    check_accelerator(settings.accelerator, setting="accelerator")
    if seed < 0:
        raise SettingsError(f"seed: {seed}; expected 0 or more")
    out = Path(out)
    dataset = open_dataset(data)
    found = list(dataset.machines.values())
    chosen = [machine.machine_type for machine in dataset.chosen(machines)]
    before = None if start is None else load_separator(start)
    identity = _identity(settings, found, chosen, before, seed=seed)
    work = out.with_name(f"{out.name}.training")
    if _is_finished(out, work, identity, resume=resume, overwrite=overwrite):
        return TrainedSeparator(_finished(out, settings, seed=seed), ())
    kept, held_out, notes = read_sealed(found, settings, seed=seed, progress=progress)
    recipes = _recipes(kept, chosen, data)
    tests = _cleanest(recipe for recipe in recipes_of(held_out) if recipe.machine_type in chosen)
    _make_room(work, identity, out=out, resume=resume)
    try:
        fit = fit_separator(
            recipes,
            settings,
            seed=seed,
            folder=work / _FIT_FOLDER,
            start=None if before is None else before.network.state_dict(),
            resume=resume,
            progress=None if progress is None else partial(progress, "training the separator (seconds)"),
        )
    except OSError as error:
        raise OutputError(f"{work}: logs or checkpoints cannot be written: {error.strerror}") from None
    notes += _notes(chosen, recipes)
    separator, examples = _measured(fit, settings, recipes, tests, notes, seed=seed, progress=progress)
    save_separator(separator, out)
    shutil.rmtree(work, ignore_errors=True)
    return TrainedSeparator(separator, tuple(examples))


def _identity(
    settings: SeparatorSettings, found: Sequence[Machine], chosen: Sequence[str], before: Separator | None, *, seed: int
) -> dict[str, Any]:
    """All that tells a training apart."""
    return {
        "format": FORMATS["separator"],
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "machine_types": chosen,
        "start": "" if before is None else before.fingerprint,
        "data": fingerprint(clip for machine in found for clip in _clips_of(machine, settings)),
    }


def _is_finished(out: Path, work: Path, identity: dict[str, Any], *, resume: bool, overwrite: bool) -> bool:
    """Whether a training that is to be resumed had been finished; refuse what would be replaced unasked."""
    file = work / _RUN_FILE
    try:
        if resume and file.exists():
            check_identity(file, identity)
            return False
        if resume and out.exists():
            return True
        for path in (out, work):
            if path.exists() and not overwrite:
                raise OutputError(f"{path}: exists already; --overwrite replaces it, --resume goes on with it")
        if work.exists() and not file.exists():
            raise OutputError(f"{work}: exists, and is not the folder of a training (no {_RUN_FILE}); choose another")
        if out.exists():
            check_kind(out, "separator")  # nothing else is replaced
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from None
    return False


def _finished(out: Path, settings: SeparatorSettings, *, seed: int) -> Separator:
    """A separator that was finished before, and was to be trained just so."""
    separator = load_separator(out)
    if separator.settings != settings or separator.summary.seed != seed:
        raise OutputError(f"{out}: was trained with other settings or another seed; --overwrite replaces it")
    return separator


def _make_room(work: Path, identity: dict[str, Any], *, out: Path, resume: bool) -> None:
    """Begin a training in its folder, unless it goes on there."""
    file = work / _RUN_FILE
    if resume and file.exists():
        return
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        write_whole(file, json.dumps(identity, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from None


def _clips_of(machine: Machine, settings: SeparatorSettings) -> list[Clip]:
    """The clips of a machine that are mixed: supplemental ones, and training clips of what no clean clip exists.

    Where a machine has noise clips alone, that is all of it; where it has clean clips, which are of the source domain,
    it is the target domain.
    """
    known = [clip for clip in machine.supplemental if clip.supplemental is not None]
    if not known:
        return []
    is_clean = any(clip.supplemental == "machine" for clip in known)
    train = [clip for clip in machine.train if clip.label != "anomaly" and (clip.domain == "target" or not is_clean)]
    spread = np.linspace(0, len(train) - 1, min(len(train), settings.most_training_clips)).round().astype(int)
    return known + [train[index] for index in spread]


def read_sealed(
    machines: Sequence[Machine], settings: SeparatorSettings, *, seed: int, progress: Progress | None
) -> tuple[list[MachineSounds], list[MachineSounds], list[str]]:
    """The sounds of each machine, to train with and held out, and what is odd about them."""

    def read(clip: Clip) -> Waveform:
        waveform = read_waveform(clip.path, sample_rate=settings.sample_rate, fmax=0.0)
        with audio_errors_at(clip.path):
            channel: Waveform = pick_channel(waveform, channel=settings.channel)[0].copy()
        return channel

    kept: list[MachineSounds] = []
    held_out: list[MachineSounds] = []
    notes: list[str] = []
    clips = {machine.machine_type: _clips_of(machine, settings) for machine in machines}
    n_clips, n_read = sum(map(len, clips.values())), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, found in clips.items():
            sounds: dict[str, list[Waveform]] = {"machine": [], "noise": [], "noisy": []}
            silent: list[Waveform] = []
            for clip, waveform in zip(found, pool.map(read, found), strict=True):
                kind = clip.supplemental or "noisy"
                (sounds[kind] if waveform.any() else silent).append(waveform)
                n_read += 1
                if progress is not None:
                    progress("reading", n_read, n_clips)
            if silent:
                notes.append(f"{name}: {len(silent)} clip(s) of digital silence are left out")
            rng = np.random.default_rng((seed, len(kept)))
            parts = {kind: _held_out(waves, settings.held_out, rng) for kind, waves in sounds.items()}
            notes += [
                f"{name}: a single {kind} clip: trained on and measured with"
                for kind in sounds
                if len(sounds[kind]) == 1
            ]
            for index, group in enumerate((kept, held_out)):
                group.append(MachineSounds(name, *(parts[kind][index] for kind in sounds)))
    return kept, held_out, notes


def _recipes(sounds: Sequence[MachineSounds], chosen: Sequence[str], data: PathLike) -> list[Recipe]:
    """What the chosen machines are trained on."""
    try:
        recipes = [recipe for recipe in recipes_of(sounds) if recipe.machine_type in chosen]
    except DataError as error:
        raise DataError(f"{data}: {error}") from None
    if not recipes:
        raise DataError(f"{data}: {', '.join(chosen)}: no supplemental clips, so there is nothing to train on")
    return recipes


def _held_out(
    waveforms: list[Waveform], share: float, rng: np.random.Generator
) -> tuple[list[Waveform], list[Waveform]]:
    """Two parts, the second held out: at least one clip; a single clip is in both."""
    if len(waveforms) < _FEWEST_TO_HOLD_OUT:
        return waveforms, waveforms
    order = rng.permutation(len(waveforms))
    count = min(max(1, round(share * len(waveforms))), len(waveforms) - 1)
    return [waveforms[index] for index in sorted(order[count:])], [waveforms[index] for index in sorted(order[:count])]


def _measured(
    fit: SeparatorFit,
    settings: SeparatorSettings,
    recipes: Sequence[Recipe],
    tests: Sequence[Recipe],
    notes: Sequence[str],
    *,
    seed: int,
    progress: Progress | None,
) -> tuple[Separator, list[Example]]:
    improvements: list[Improvement] = []
    examples: list[Example] = []
    summary = SeparatorSummary(
        seed=seed,
        machine_types=tuple(dict.fromkeys(recipe.machine_type for recipe in recipes)),
        n_clips=_counts(recipes),
        n_parameters=count_parameters(fit.network),
        n_steps=fit.n_steps,
        seconds=fit.seconds,
        improvements=(),
        notes=tuple(notes),
        versions=package_versions(),
    )
    separator = Separator(fit.network, settings=settings, summary=summary)
    for index, (recipe, snr_db) in enumerate((recipe, snr_db) for recipe in tests for snr_db in SNR_DB):
        measured = measure_improvement(separator, recipe, snr_db=snr_db, seed=seed)
        if measured is not None:
            improvements.append(measured[0])
            examples += [measured[1]] if snr_db == 0.0 else []
        if progress is not None:
            progress("measuring", index + 1, len(tests) * len(SNR_DB))
    separator.summary = summary.model_copy(update={"improvements": tuple(improvements)})
    return separator, examples


def _cleanest(recipes: Iterable[Recipe]) -> list[Recipe]:
    """One recipe of each machine, of clean references where there are any."""
    found: dict[str, Recipe] = {}
    for recipe in recipes:
        found.setdefault(recipe.machine_type, recipe)
    return list(found.values())


def _counts(recipes: Sequence[Recipe]) -> dict[str, int]:
    noises = {id(noise) for recipe in recipes for noise in recipe.noises}
    clean = sum(len(recipe.references) for recipe in recipes if not recipe.is_noisy_target)
    noisy = sum(len(recipe.references) for recipe in recipes if recipe.is_noisy_target)
    return {"clean": clean, "noise": len(noises), "noisy": noisy}


def _notes(chosen: Sequence[str], recipes: Sequence[Recipe]) -> list[str]:
    notes = []
    for recipe in recipes:
        what = "noisy training clips" if recipe.is_noisy_target else "clean clips"
        counts = f"{len(recipe.references)} {what}, mixed with {len(recipe.noises)} clips of noise"
        notes.append(f"{recipe.machine_type}: {counts}")
    left_out = [name for name in chosen if name not in {recipe.machine_type for recipe in recipes}]
    return notes + [
        f"{name}: no supplemental clips that can be mixed: its own sound is not learned" for name in left_out
    ]

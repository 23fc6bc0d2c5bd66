"""Training of a separator: from the supplemental clips of a data set to a file, with a measurement of its effect."""

import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from soundness.aliases import PathLike, Progress, Waveform
from soundness.audio.reading import pick_channel, read_waveform
from soundness.data.clips import Clip
from soundness.data.datasets import Machine, Selection, fingerprint, open_dataset
from soundness.errors import DataError, OutputError, SettingsError, audio_errors_at
from soundness.extras import check_extra
from soundness.files.atomic import output_errors
from soundness.files.run_folders import Existing, begin_run, locked_file, package_versions
from soundness.files.sealed import FORMATS, check_kind
from soundness.lightning_loop import check_accelerator, count_parameters
from soundness.separation.fitting import fit_separator
from soundness.separation.measurement import Example, measure_improvement
from soundness.separation.mixtures import MachineSounds, Recipe, recipes_of
from soundness.separation.saving import load_separator, save_separator
from soundness.separation.separator import Improvement, Separator, SeparatorFit, SeparatorSummary
from soundness.settings.separation import SeparatorSettings
from soundness.threads import map_recordings

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

    def draw(self, folder: PathLike) -> list[Path]:
        """Draw a picture of each example, ``folder/<machine_type>.png``, and give the pictures' paths."""
        from soundness.separation.pictures import draw_separation  # loads Matplotlib

        pictures = [Path(folder) / f"{example.machine_type}.png" for example in self.examples]
        for example, picture in zip(self.examples, pictures, strict=True):
            draw_separation(example, picture, sample_rate=self.separator.settings.sample_rate)
        return pictures


def train_separator(
    data: PathLike | Selection,
    out: PathLike,
    *,
    settings: SeparatorSettings | None = None,
    machines: Sequence[str] = (),
    start: PathLike | None = None,
    seed: int = 0,
    existing: Existing = "refuse",
    progress: Progress | None = None,
) -> TrainedSeparator:
    """Train a separator on the clean-machine and noise-only clips of a data set and write it to a file.

    One separator serves all machines. A tenth of each machine's supplemental clips is held out and measured at the end.
    While the training lasts, its checkpoints lie in ``<out>.training``.

    Parameters
    ----------
    data
        A data set of any layout that `soundness.open_dataset` knows. Its test clips are not read, and its training
        clips only where they hold sound that no clean clip does.
    out
        The separator's file.
    settings
        Settings of the separator, from `soundness.settings.loading.load_separator_settings`; the defaults where it is
        ``None``.
    machines
        Machine types whose sound is learned, with noise from all of them; all where none is named.
    start
        File of a separator to begin with, such as a shared one that is fine-tuned to one machine.
    seed
        Random seed.
    existing
        Treatment of an earlier separator in ``out``, or of an interrupted training of it: refuse, replace or resume it.
        One that is resumed needs the same data, settings and seed.
    progress
        Called with the name of a step, the number of its items done and their total.

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
    check_extra()
    settings = SeparatorSettings() if settings is None else settings
    check_accelerator(settings.accelerator, setting="accelerator")
    if seed < 0:
        raise SettingsError(f"seed: {seed}; expected 0 or more")
    out = Path(out)
    dataset = open_dataset(data)
    found = list(dataset.machines.values())
    chosen = [machine.machine_type for machine in dataset.chosen(machines)]
    before = None if start is None else load_separator(Path(start))
    work = out.with_name(f"{out.name}.training")
    with locked_file(out, kind="training of a separator"):
        if _is_finished(out, work, existing):
            return TrainedSeparator(_finished(out, settings, seed=seed), ())
        identity = _identity(settings, found, chosen, before, seed=seed)
        kept, held_out, notes = _read_sounds(found, settings, seed=seed, progress=progress)
        recipes = _recipes(kept, chosen, dataset.root)
        begin_run(
            work, identity, kind="training", file_name=_RUN_FILE, existing=existing, parts=lambda _: [_FIT_FOLDER]
        )
        with output_errors(work):
            fit = fit_separator(
                recipes,
                settings,
                seed=seed,
                folder=work / _FIT_FOLDER,
                start=None if before is None else before.network.state_dict(),
                resume=existing == "resume",
                progress=None if progress is None else partial(progress, "training the separator (seconds)"),
            )
        summary = _summary(fit, kept, recipes, [*notes, *_notes(chosen, recipes)], seed=seed)
        tests = _cleanest(recipe for recipe in recipes_of(held_out) if recipe.machine_type in chosen)
        trained = _measured(Separator(fit.network, settings=settings, summary=summary), tests, progress=progress)
        save_separator(trained.separator, out)
        shutil.rmtree(work / _FIT_FOLDER, ignore_errors=True)
        with suppress(OSError):  # the folder stays where it holds files of somebody else
            (work / _RUN_FILE).unlink()
            work.rmdir()
        return trained


def _identity(
    settings: SeparatorSettings, found: Sequence[Machine], chosen: Sequence[str], before: Separator | None, *, seed: int
) -> dict[str, Any]:
    """Everything that tells a training from another."""
    return {
        "format": FORMATS["separator"],
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "machine_types": chosen,
        "start": "" if before is None else before.fingerprint,
        "data": fingerprint(clip for machine in found for clip in _clips_of(machine, settings)),
    }


def _is_finished(out: Path, work: Path, existing: Existing) -> bool:
    """True if a training that is to be resumed had been finished; refuse a file that must not be replaced."""
    with output_errors(out):
        if not out.exists():
            return False
        if existing == "resume" and not (work / _RUN_FILE).exists():
            return True
        if existing == "refuse":
            raise OutputError(f"{out}: exists already; --overwrite replaces it, --resume goes on with it")
    check_kind(out, "separator")  # nothing else is replaced
    return False


def _finished(out: Path, settings: SeparatorSettings, *, seed: int) -> Separator:
    """The separator that was finished before, with these settings and this seed."""
    separator = load_separator(out)
    if separator.settings != settings or separator.summary.seed != seed:
        raise OutputError(f"{out}: was trained with other settings or another seed; --overwrite replaces it")
    return separator


def _clips_of(machine: Machine, settings: SeparatorSettings) -> list[Clip]:
    """Clips of a machine that are mixed: supplemental ones, and training clips that no clean clip stands for.

    Without clean clips these are all training clips; with them, which are of the source domain, those of the target
    domain.
    """
    known = [clip for clip in machine.supplemental if clip.supplemental is not None]
    if not known:
        return []
    is_clean = any(clip.supplemental == "machine" for clip in known)
    train = [clip for clip in machine.train if clip.label != "anomaly" and (clip.domain == "target" or not is_clean)]
    spread = np.linspace(0, len(train) - 1, min(len(train), settings.most_training_clips)).round().astype(int)
    return known + [train[index] for index in spread]


def _read_sounds(
    machines: Sequence[Machine], settings: SeparatorSettings, *, seed: int, progress: Progress | None
) -> tuple[list[MachineSounds], list[MachineSounds], list[str]]:
    """Sounds of each machine, to train with and held out, and notes on the clips."""

    def read(clip: Clip) -> Waveform:
        with audio_errors_at(clip.path):
            waveform = read_waveform(clip.path, sample_rate=settings.sample_rate, fmax=0.0)
            channel: Waveform = pick_channel(waveform, channel=settings.channel)[0].copy()
        return channel

    clips = [(machine.machine_type, clip) for machine in machines for clip in _clips_of(machine, settings)]
    sounds: dict[str, dict[str, list[Waveform]]] = {
        machine.machine_type: {"machine": [], "noise": [], "noisy": [], "silent": []} for machine in machines
    }
    waveforms = map_recordings(read, (clip for _, clip in clips))
    for done, ((name, clip), waveform) in enumerate(zip(clips, waveforms, strict=True), start=1):
        sounds[name][clip.supplemental or "noisy" if waveform.any() else "silent"].append(waveform)
        if progress is not None:
            progress("reading", done, len(clips))
    kept: list[MachineSounds] = []
    held_out: list[MachineSounds] = []
    notes: list[str] = []
    for index, (name, found) in enumerate(sounds.items()):
        if silent := found.pop("silent"):
            notes.append(f"{name}: {len(silent)} clip(s) of digital silence are left out")
        notes += [
            f"{name}: a single {kind} clip: trained on and measured with"
            for kind, waves in found.items()
            if len(waves) == 1
        ]
        rng = np.random.default_rng((seed, index))
        parts = [_held_out(waves, settings.held_out, rng) for waves in found.values()]
        for group, (clean, noise, noisy) in zip((kept, held_out), zip(*parts, strict=True), strict=True):
            group.append(MachineSounds(name, clean=clean, noise=noise, noisy=noisy))
    return kept, held_out, notes


def _recipes(sounds: Sequence[MachineSounds], chosen: Sequence[str], root: Path) -> list[Recipe]:
    """Mixtures that the chosen machines are trained on."""
    try:
        recipes = [recipe for recipe in recipes_of(sounds) if recipe.machine_type in chosen]
    except DataError as error:
        raise error.at(root) from None
    if not recipes:
        reason = f"{', '.join(chosen)}: no supplemental clips, so there is nothing to train on"
        raise DataError(reason, path=root)
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


def _summary(
    fit: SeparatorFit, sounds: Sequence[MachineSounds], recipes: Sequence[Recipe], notes: Sequence[str], *, seed: int
) -> SeparatorSummary:
    """Summary of a training, so far without measurements."""
    counts = {"clean": 0, "noise": 0, "noisy": 0}
    for recipe in recipes:
        counts["noisy" if recipe.is_noisy_target else "clean"] += len(recipe.references)
    # A recipe mixes with all noise clips or with its machine's own.
    counts["noise"] = min(sum(len(machine.noise) for machine in sounds), sum(len(one.noises) for one in recipes))
    return SeparatorSummary(
        seed=seed,
        machine_types=tuple(dict.fromkeys(recipe.machine_type for recipe in recipes)),
        n_clips=counts,
        n_parameters=count_parameters(fit.network),
        n_steps=fit.n_steps,
        seconds=fit.seconds,
        improvements=(),
        notes=tuple(notes),
        versions=package_versions(),
    )


def _measured(separator: Separator, tests: Sequence[Recipe], *, progress: Progress | None) -> TrainedSeparator:
    """A separator with its improvement at each level, and an example of each machine."""
    improvements: list[Improvement] = []
    examples: list[Example] = []
    for index, (recipe, snr_db) in enumerate((recipe, snr_db) for recipe in tests for snr_db in SNR_DB):
        measured = measure_improvement(separator, recipe, snr_db=snr_db, seed=separator.summary.seed)
        if measured is not None:
            improvements.append(measured[0])
            examples += [measured[1]] if snr_db == 0.0 else []
        if progress is not None:
            progress("measuring", index + 1, len(tests) * len(SNR_DB))
    summary = separator.summary.model_copy(update={"improvements": tuple(improvements)})
    measured_separator = Separator(separator.network, settings=separator.settings, summary=summary)
    return TrainedSeparator(measured_separator, tuple(examples))


def _cleanest(recipes: Iterable[Recipe]) -> list[Recipe]:
    """One recipe of each machine, of clean references where there are any."""
    found: dict[str, Recipe] = {}
    for recipe in recipes:
        found.setdefault(recipe.machine_type, recipe)
    return list(found.values())


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

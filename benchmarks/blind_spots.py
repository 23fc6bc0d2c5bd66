"""Map of blindness: how strong an anomaly must be before a system sees it, for each kind of `plants`.

    SOUNDNESS_DATA=... python benchmarks/blind_spots.py --systems soundness,log-mel-whitened [--work DIR] [--again]
        [--machines toy-car,fan,...] [--splits 3] [--kinds event-2x128,tone,...] [--clips 12]

Anomalies are planted into normal recordings that were held out, of real and synthetic machines; a system is trained on
others, and scores the recordings with and without them. Of a promised strength all held-out recordings are planted, of
the others a few. A system may have settings of its own: ``soundness+scorer.anomaly_width=0``. The scores of each
machine, split and system are kept in the working folder (``scores/MACHINE/SPLIT/SYSTEM.csv``); what is there is not
measured again (``--splits 0`` measures nothing). Tables and the picture go into docs/blind_spots.md.
"""

import argparse
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

import soundness
from arrangements import linked, real, recording_prefix, timed
from blind_spot_figures import CLEAN, Cell, Score, keep_scores, kept_scores, promised_cells, write_page
from plants import GROUPS, KINDS, plant
from soundness.detectors.verdicts.score_table import read_score_table
from soundness.settings.loading import load_settings

FACTORY_SEED = 905


@dataclass(frozen=True)
class Draw:
    """Data that a system is trained on, and normal recordings that are held out."""

    training: Path
    held_out: list[Path]


def main() -> int:
    """Measure what is missing, and write the page; 1 if a promise is not kept."""
    arguments = _arguments()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for machine in arguments.machines:
        for split in range(arguments.splits):
            _measure(work, machine, split, arguments)
    return write_page(work, arguments.systems)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", type=_names(None), default=["soundness", "log-mel-whitened"])
    parser.add_argument("--machines", type=_names(MACHINES), default=list(MACHINES))
    parser.add_argument("--kinds", type=_names(KINDS), default=list(KINDS))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--clips", type=int, default=12, help="planted for each strength that is not promised")
    parser.add_argument("--work", type=Path, default=Path("blind-spots-work"))
    parser.add_argument("--again", action="store_true", help="also measure what was measured before")
    arguments = parser.parse_args()
    if "SOUNDNESS_DATA" not in os.environ:
        parser.error("SOUNDNESS_DATA is not set: it names the folder of the real recordings")
    return arguments


def _names(known: Iterable[str] | None) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = text.split(",")
        unknown = [] if known is None else sorted(set(found) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {', '.join(known or ())}")
        return found

    return names


def toy_car(_work: Path, _split: int) -> Draw:
    """All training clips of the toy cars, and the normal test clips of both; the training is the same in each split."""
    return Draw(real("toycar"), sorted(real("toycar").glob("ToyCar/test/*_normal_*.wav")))


def one_car(work: Path, split: int) -> Draw:
    """Normal clips of one toy car: 38, and 12 others."""
    return _drawn(work, "one-car", split, real("toycar_clean").glob("*.wav"), n_training=38)


def fan(work: Path, split: int) -> Draw:
    """Normal recordings of a real fan: 12, and 8 others."""
    return _drawn(work, "fan", split, real("mimii_fan").glob("normal/*.wav"), n_training=12)


def slider(work: Path, split: int) -> Draw:
    """Normal recordings of a real slide rail: 50, and 25 others."""
    return _drawn(work, "slider", split, real("dcase2020_slider").glob("slider/train/*.wav"), n_training=50)


def compressor(work: Path, split: int) -> Draw:
    """Clips of two seconds of a running compressor: those of half of its recordings, and of the others."""
    paths = sorted(real("compressor").glob("run/*.wav"))
    prefixes = np.random.default_rng(split).permutation(sorted({recording_prefix(path) for path in paths}))
    chosen = set(prefixes[: len(prefixes) // 2].tolist())
    training = [path for path in paths if recording_prefix(path) in chosen]
    return _linked(work, "compressor", split, training, [path for path in paths if path not in training])


def valve(work: Path, _split: int) -> Draw:
    """A synthetic valve: its training clips, and the normal test clips of the source domain."""
    return _synthetic(work, "valve")


def gearbox(work: Path, _split: int) -> Draw:
    """A synthetic gearbox, likewise."""
    return _synthetic(work, "gearbox")


MACHINES: dict[str, Callable[[Path, int], Draw]] = {
    "toy-car": toy_car,
    "one-car": one_car,
    "fan": fan,
    "slider": slider,
    "compressor": compressor,
    "valve": valve,
    "gearbox": gearbox,
}


def _drawn(work: Path, name: str, split: int, paths: Iterable[Path], *, n_training: int) -> Draw:
    known = sorted(paths)
    order = np.random.default_rng(split).permutation(len(known))
    training, others = ([known[index] for index in some] for some in (order[:n_training], order[n_training:]))
    return _linked(work, name, split, training, others)


def _linked(work: Path, name: str, split: int, training: Sequence[Path], others: Sequence[Path]) -> Draw:
    folder = linked(work / "data" / str(split) / name, {("train", "source", "normal"): training})
    return Draw(folder, list(others))


def _synthetic(work: Path, name: str) -> Draw:
    folder = work / f"machines-{FACTORY_SEED}"
    if not folder.exists():
        timed("make-data", folder, "--seed", FACTORY_SEED, "--machines", "valve,gearbox", "-q")
    return Draw(folder / name, sorted((folder / name).glob("test/*_source_test_normal_*.wav")))


def _measure(work: Path, machine: str, split: int, arguments: argparse.Namespace) -> None:
    """Score what is missing of a machine and a split, group by group, so that planted recordings need little space."""
    draw = MACHINES[machine](work, split)
    cells = [CLEAN, *((name, strength) for name in arguments.kinds for strength in KINDS[name].strengths)]
    missing: dict[str, set[Cell]] = {}
    for system in arguments.systems:
        if arguments.again:
            keep_scores(work, (machine, split, system), [])
        known = {score.cell for score in kept_scores(work, (machine, split, system))}
        missing[system] = set(cells) - known
    groups = [[cell for cell in cells if _group(cell) == group] for group in ("", *GROUPS)]
    for group in groups:
        wanted = {cell for own in missing.values() for cell in own} & set(group)
        if not wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="planted-", dir=work) as name:
            folder = Path(name)
            planted = _plant(folder, draw.held_out, sorted(wanted), _numbers(machine, draw, arguments.clips), split)
            for system, own in missing.items():
                if own & wanted:
                    run = _trained(work, (machine, split, system), draw, is_new=arguments.again and group is groups[0])
                    chosen = {path: where for path, where in planted.items() if where[0] in own}
                    _score(work, (machine, split, system), run, chosen, out=folder / "scores")
                    print(f"{machine} {split} {system} {_group(group[0]) or 'clean'}: {len(chosen)} scored", flush=True)


def _group(cell: Cell) -> str:
    """Group of the kind; empty for recordings as they are."""
    return "" if cell == CLEAN else KINDS[cell[0]].group


def _numbers(machine: str, draw: Draw, n_clips: int) -> Callable[[Cell], int]:
    """Number of held-out recordings that are planted."""
    promised = {CLEAN, *promised_cells(machine)}
    return lambda cell: len(draw.held_out) if cell in promised else min(n_clips, len(draw.held_out))


def _plant(
    folder: Path, held_out: Sequence[Path], cells: Sequence[Cell], number: Callable[[Cell], int], split: int
) -> dict[Path, tuple[Cell, int]]:
    """Recordings with an anomaly, as float files; each kind at the same places whatever its strength."""
    order = np.random.default_rng(split).permutation(len(held_out))
    written: dict[Path, tuple[Cell, int]] = {}
    for place, clip in enumerate(order.tolist()):
        waveform, sample_rate = soundfile.read(held_out[clip])
        for name, strength in (cell for cell in cells if place < number(cell)):
            rng = np.random.default_rng([split, clip, zlib.crc32(name.encode())])
            planted = waveform
            if (name, strength) != CLEAN:
                planted = plant(waveform, KINDS[name], strength, sample_rate=sample_rate, rng=rng)
            path = folder / f"{len(written):06d}.wav"
            soundfile.write(path, planted, sample_rate, subtype="FLOAT")
            written[path] = ((name, strength), clip)
    return written


def _trained(work: Path, key: tuple[str, int, str], draw: Draw, *, is_new: bool) -> Path:
    """Folder of a run, trained once."""
    machine, split, system = key
    run = work / "runs" / machine / str(split) / system
    if is_new or not any(run.glob("*.soundness")):  # a training that was killed leaves a folder without one
        name, *overrides = system.split("+")
        settings = load_settings(name, overrides=("separation=off", *overrides))
        soundness.train(draw.training, run, system=settings, seed=split, existing="replace")
    return run


def _score(
    work: Path, key: tuple[str, int, str], run: Path, planted: dict[Path, tuple[Cell, int]], *, out: Path
) -> None:
    """Score recordings, and keep the scores beside those that are there."""
    soundness.score(run, list(planted), out, overwrite=True, n_workers=1)
    found = []
    for row in read_score_table(out):
        (name, strength), clip = planted[Path(row.path)]
        found.append(
            Score(kind=name, strength=strength, clip=clip, anomaly_score=row.anomaly_score, verdict=row.verdict)
        )
    keep_scores(work, key, [*kept_scores(work, key), *found])


if __name__ == "__main__":
    sys.exit(main())

"""Sections of `alarms.py`: new normal clips join a detector, and normality itself moves."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal
from sklearn.metrics import roc_auc_score

import soundness
from promises import Row
from soundness.audio.log_mel import LogMel
from soundness.data.clips import describe_clip
from soundness.detectors.bulk_scoring import scored
from soundness.detectors.detector import Detector
from soundness.monitoring.drift_statistics import compute_drift
from soundness.monitoring.enrolment import enroll
from soundness.scoring import NearestNeighborScorer, TrainingVectors
from soundness.screening.normal_clips import NormalClips
from soundness.settings.loading import DEFAULT_SYSTEM, load_settings

__all__ = ["drift", "enrolment"]

Array = NDArray[np.float64]

SYSTEM = "log-mel-whitened"
SEEDS = (34, 35)
MACHINES = ("fan", "gearbox", "ToyCar")
N_KNOWN, N_NEW = 60, 20


def noisy(waveform: Array, rng: np.random.Generator, *, slope: float, level_db: float) -> Array:
    """With noise whose power falls with that power of frequency, so many dB above the recording."""
    frequencies = np.fft.rfftfreq(len(waveform))
    frequencies[0] = frequencies[1]
    spectrum = np.fft.rfft(rng.standard_normal(len(waveform))) * frequencies ** (-slope / 2)
    noise = np.fft.irfft(spectrum, len(waveform))
    level = np.sqrt(np.mean(np.square(waveform))) * 10 ** (level_db / 20)
    return waveform + level * noise / noise.std()


def louder(waveform: Array, rng: np.random.Generator, *, gain_db: float) -> Array:  # noqa: ARG001  # as all changes
    """With another gain."""
    return waveform * 10 ** (gain_db / 20)


def muffled(waveform: Array, rng: np.random.Generator, *, hz: float) -> Array:  # noqa: ARG001  # as all changes
    """Behind a low-pass of fourth order, at 16 kHz."""
    return signal.sosfilt(signal.butter(4, hz, fs=16_000, output="sos"), waveform)


CHANGES: dict[str, tuple[str, Callable[[Array, np.random.Generator], Array]]] = {
    **{f"gain {db:+d} dB": ("microphone gain changed", partial(louder, gain_db=db)) for db in (-6, -3, 3, 6)},
    "white noise, 6 dB below the clips": ("noise floor rose", partial(noisy, slope=0.0, level_db=-6.0)),
    "pink noise, 6 dB below": ("noise floor rose", partial(noisy, slope=1.0, level_db=-6.0)),
    "pink noise, as loud": ("noise floor rose", partial(noisy, slope=1.0, level_db=0.0)),
    "low-pass at 3 kHz": ("new condition", partial(muffled, hz=3000.0)),
}


def enrolment(work: Path) -> Iterator[Row]:
    """Toy cars: car 1 alone, car 2 enrolled, and both trained."""
    cars = Path(os.environ["SOUNDNESS_DATA"]) / "toycar" / "ToyCar"
    alone = work / "enrolment-data" / "ToyCar" / "train"
    alone.mkdir(parents=True, exist_ok=True)
    for clip in (cars / "train").glob("*_source_*"):
        if not (alone / clip.name).exists():
            (alone / clip.name).symlink_to(clip)
    new = sorted((cars / "train").glob("*_target_*"))
    for name in (SYSTEM, DEFAULT_SYSTEM):
        before, trained = (
            soundness.train(data, work / "enrolment-run", system=name, existing="replace")[0]
            for data in (alone.parents[1], cars)
        )
        started = process_time()
        enrolled = enroll(before, new, condition="car_2", domain="target").detector
        seconds = process_time() - started
        aucs = [auc_of(detector, cars / "test") for detector in (before, enrolled, trained)]
        shown = "; ".join(
            f"{what} {source:.1f} / {target:.1f}"
            for what, (source, target) in zip(("car 1 alone", "enrolled", "trained with both"), aucs, strict=True)
        )
        yield Row(
            f"`{name}`: AUC source / target",
            "target within 3 points of both trained",
            shown,
            aucs[1][1] >= aucs[2][1] - 3.0,
        )
        yield Row(f"`{name}`: enrolling 10 clips", "under 5 s", f"{seconds:.2f} s of CPU", seconds < 5.0)


def auc_of(detector: Detector, folder: Path) -> tuple[float, float]:
    """Percent, of source and target: the normal clips of a domain against all anomalies."""
    clips = [describe_clip(path, machine_type="", split="test") for path in sorted(folder.glob("*.wav"))]
    scores = np.array([result.score.anomaly_score for result in scored([(clip, detector) for clip in clips])])
    is_anomalous = np.array([clip.label == "anomaly" for clip in clips])
    found = []
    for domain in ("source", "target"):
        chosen = is_anomalous | np.array([clip.domain == domain for clip in clips])
        found.append(100 * float(roc_auc_score(is_anomalous[chosen], scores[chosen])))
    return found[0], found[1]


def drift(work: Path) -> Iterator[Row]:
    """Three machines of two factories: each change made on purpose, and none."""
    data = {seed: factory(work, seed) for seed in SEEDS}
    right = dict.fromkeys(["microphone gain changed", "noise floor rose", "new condition"], (0, 0))
    lines: dict[str, list[str]] = {}
    n_quiet = n_same = 0
    for seed, folder in data.items():
        for machine in MACHINES:
            for what, expected, answer in answers(folder / machine / "train", seed):
                if expected == "nothing":
                    n_quiet, n_same = n_quiet + (answer == expected), n_same + 1
                    continue
                hits, total = right[expected]
                right[expected] = hits + (answer == expected), total + 1
                if answer != expected:
                    lines.setdefault(expected, []).append(f"{machine}, {what}: {answer}")
    for expected, (hits, total) in right.items():
        wrong = f" ({'; '.join(lines[expected])})" if expected in lines else ""
        yield Row(f"{expected}, made on purpose", "right in 8 of 10", f"{hits} of {total}{wrong}", hits >= 0.8 * total)
    yield Row("unchanged clips: nothing", "19 of 20", f"{n_quiet} of {n_same}", n_quiet >= 0.95 * n_same)


def factory(work: Path, seed: int) -> Path:
    """Normal clips of three machines."""
    data = work / f"drift-data-{seed}"
    if not data.exists():
        soundness.make_data(
            data,
            machines=MACHINES,
            n_train=110,
            n_target_train=N_NEW,
            n_test_normal=2,
            n_test_anomaly=2,
            n_supplemental=0,
            seconds=3.0,
            seed=seed,
        )
    return data


def answers(folder: Path, seed: int) -> Iterator[tuple[str, str, str]]:
    """A change, the answer that is due, and the answer that comes."""
    rng = np.random.default_rng(seed)
    paths = {domain: sorted(folder.glob(f"*_{domain}_*")) for domain in ("source", "target")}
    waveforms = {domain: [soundfile.read(path)[0] for path in found] for domain, found in paths.items()}
    source, target = (measured(waveforms[domain]) for domain in ("source", "target"))
    order = rng.permutation(len(paths["source"]))
    known, held = order[:N_KNOWN], order[N_KNOWN : N_KNOWN + N_NEW]
    for what, (expected, change) in CHANGES.items():
        changed = measured([change(waveforms["source"][index], rng) for index in held])
        yield what, expected, answer(source.subset(known), changed, rng)
    yield "target domain", "new condition", answer(source.subset(known), target, rng)
    conditions = np.array([path.stem.split("_normal_")[1][5:] for path in paths["source"]])
    for condition in np.unique(conditions)[:2]:
        others, own = np.flatnonzero(conditions != condition), np.flatnonzero(conditions == condition)[:N_NEW]
        yield f"new {condition}", "new condition", answer(source.subset(others), source.subset(own), rng)
    for _ in range(20):
        order = rng.permutation(len(source))
        yield "nothing", "nothing", answer(source.subset(order[:N_KNOWN]), source.subset(order[N_KNOWN:][:N_NEW]), rng)


def answer(before: NormalClips, new: NormalClips, rng: np.random.Generator) -> str:
    """By bands and scores, as of a detector whose vectors are mean log-mels."""
    known = TrainingVectors.from_vectors(before.means.astype(np.float64))
    scorer = NearestNeighborScorer.fit(known, load_settings(SYSTEM).scorer)
    scores = {"source": scorer.left_out_scores()}
    new_scores = np.array([scorer.score(mean[None].astype(np.float64)) for mean in new.means])
    return compute_drift(before, new, scores=scores, new_scores=new_scores, rng=rng).answer


def measured(waveforms: list[Array]) -> NormalClips:
    """Band statistics of recordings."""
    settings = load_settings(SYSTEM)
    log_mel = LogMel(settings.log_mel, sample_rate=settings.audio.sample_rate)
    found = [log_mel(waveform.astype(np.float32)) for waveform in waveforms]
    names, domains = [str(index) for index in range(len(found))], ["source"] * len(found)
    return NormalClips.from_log_mels(found, names=names, domains=domains)

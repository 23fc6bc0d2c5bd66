"""Training clips that are not independent, and normal sound that wanders: promised and measured.

python benchmarks/dependence.py [--work DIR]

A steady machine whose clips are copied or cut with overlap, and bearings that are run to failure, whose resonances and
levels wander as long as they are well; all made here. Toy cars where the environment variable SOUNDNESS_DATA names the
folder of the real recordings. Exit status 1 if a promise is not kept.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from promises import Row, measure_rows
from soundness.data.clips import describe_clip
from soundness.detectors.detector import Detector
from soundness.evaluation.metrics import roc_auc
from soundness.screening.time_order import time_order
from soundness.settings.loading import load_settings
from soundness.training.run import train

RATE = 16_000
FALSE_ALARMS = 0.1
SEEDS = (0, 1, 2, 3)
N_HEALTHY, N_FAILING = 180, 16  # clips of a bearing's life
TRAININGS = (60, 100, 160)  # clips of it that a detector learns from
WANDER = 3.0
Sound = np.ndarray


def machine(seed: int, *, seconds: float = 4.0) -> Sound:
    """A steady machine: hum, tones, coloured noise, whose levels differ a little from one recording to the next."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    tones = [48, 96, 144, 388, 776]
    hum = sum(
        np.sin(2 * np.pi * hz * t + rng.uniform(0, 6.28)) / (1 + index) * (1 + 0.1 * rng.standard_normal())
        for index, hz in enumerate(tones)
    )
    spectrum = np.fft.rfft(rng.standard_normal(len(t)))
    noise = np.fft.irfft(spectrum / np.sqrt(1 + (np.fft.rfftfreq(len(t), 1 / RATE) / 800) ** 2), len(t))
    return 0.05 * (hum + 0.3 * (1 + 0.1 * rng.standard_normal()) * noise / noise.std())


def bearing(
    seed: int, *, n_healthy: int = N_HEALTHY, n_failing: int = N_FAILING, wander: float = WANDER
) -> list[Sound]:
    """The clips of a bearing's life, one second each: resonances that wander, then impacts that grow."""
    rng = np.random.default_rng(seed)
    n_samples = RATE
    hz, t = np.fft.rfftfreq(n_samples, 1 / RATE), np.arange(n_samples) / RATE
    centres, widths = rng.uniform(600, 6500, 4), rng.uniform(80, 300, 4)
    levels, shifts, tilt, warmth = np.zeros(4), np.zeros(4), 0.0, 0.0
    ring = np.exp(-np.arange(400) / 60) * np.sin(2 * np.pi * centres[0] * np.arange(400) / RATE)
    life = []
    for clip in range(n_healthy + n_failing):
        levels += wander * 0.12 * rng.standard_normal(4)
        shifts += wander * 0.0012 * rng.standard_normal(4)
        tilt += wander * 0.05 * rng.standard_normal()
        warmth = 0.97 * warmth + wander * 0.08 * rng.standard_normal()
        places = centres * (1 + shifts + 0.002 * warmth)
        gain = 0.15 * 10 ** ((tilt + warmth) / 20 * hz / 8000)
        for level, place, width in zip(levels, places, widths, strict=True):
            gain = gain + 10 ** ((level + rng.normal(0, 0.15)) / 20) / np.sqrt(1 + ((hz - place) / width) ** 2)
        sound = np.fft.irfft(np.fft.rfft(rng.standard_normal(n_samples)) * gain, n_samples)
        if clip >= n_healthy:
            impacts = np.zeros(n_samples)
            impacts[(np.arange(rng.uniform(0, 1 / 105), 1, 1 / 105) * RATE).astype(int)] = 1
            growth = (clip - n_healthy + 1) / n_failing
            sound = sound + 3.0 * growth * sound.std() * np.convolve(impacts, ring)[:n_samples]
        hum = 0.4 * np.sin(2 * np.pi * 29.5 * t * (1 + 0.002 * rng.standard_normal()) + rng.uniform(0, 6))
        life.append(0.05 * (sound / 3 + hum))
    return life


def write(folder: Path, sounds: list[Sound]) -> Path:
    """Write clips in the order of time: clip_0001.wav, clip_0002.wav, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, sound in enumerate(sounds, start=1):
        soundfile.write(folder / f"clip_{index:04d}.wav", sound, RATE)
    return folder


def trained(data: Path, *overrides: str) -> Detector:
    """The default system, trained on a folder of recordings."""
    out = data.with_name(f"{data.name}_run{'_'.join(overrides)}".replace("=", "_"))
    shutil.rmtree(out, ignore_errors=True)
    (detector,) = train(data, out, system=load_settings("soundness", overrides=overrides))
    return detector


def scores(detector: Detector, sounds: list[Sound]) -> np.ndarray:
    """Scores of sounds."""
    return np.array([detector.score(sound[None].astype(np.float32)) for sound in sounds])


def flagged(detector: Detector, sounds: list[Sound]) -> float:
    """Share of sounds that are called anomalous."""
    return float((scores(detector, sounds) > detector.threshold.value).mean())


def copies(work: Path) -> Iterator[Row]:
    """Twenty recordings, each of them twice."""
    shares = []
    for seed in SEEDS:
        folder = write(work / f"copies_{seed}", [machine(1000 * seed + index) for index in range(20)])
        for path in sorted(folder.iterdir()):
            shutil.copy(path, path.with_name(f"{path.stem} - Copy.wav"))
        shares.append(flagged(trained(folder), [machine(1000 * seed + 500 + index) for index in range(40)]))
    share = float(np.mean(shares))
    yield Row("new normal clips called anomalous, each training clip there twice", "10 %", f"{share:.0%}", share <= 0.2)


def overlaps(work: Path) -> Iterator[Row]:
    """One recording cut into clips of 4 s every second."""
    shares = []
    for seed in SEEDS:
        long = machine(seed, seconds=400.0)
        clips = [long[index * RATE :][: 4 * RATE] for index in range(40)]
        later = [long[(180 + 4 * index) * RATE :][: 4 * RATE] for index in range(50)]
        shares.append(flagged(trained(write(work / f"overlaps_{seed}", clips)), later))
    share = float(np.mean(shares))
    yield Row("the same, training clips that overlap by three quarters", "10 %", f"{share:.0%}", share <= 0.2)


def toy_cars(work: Path) -> Iterator[Row]:
    """Fifty clips of a real toy car, each of them twice."""
    data = Path(os.environ["SOUNDNESS_DATA"])
    paths = sorted((data / "toycar" / "ToyCar" / "train").glob("*car_1.wav"))[:50]
    folder = write(work / "toy_cars", [soundfile.read(path)[0] for path in paths for _ in range(2)])
    new = [soundfile.read(path)[0] for path in sorted((data / "toycar_clean").glob("*.wav"))]
    share = flagged(trained(folder), new)
    yield Row("the same, 50 clips of a toy car, each twice", "10 %", f"{share:.0%}", share <= 0.2)


def compressor(work: Path) -> Iterator[Row]:
    """A real compressor that runs, over some days: the last tenth of its clips, by the others."""
    clips = [
        describe_clip(path, machine_type="compressor", split="train")
        for path in sorted((Path(os.environ["SOUNDNESS_DATA"]) / "compressor" / "run").glob("*.wav"))
    ]
    order, _ = time_order(clips)
    paths = [clips[index].path for index in order]
    n_train = round(0.9 * len(paths))
    folder = work / "compressor"
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths[:n_train]:
        shutil.copy(path, folder / path.name)
    new = [soundfile.read(path)[0] for path in paths[n_train:]]
    off, auto = flagged(trained(folder, "calibration_blocks=off"), new), flagged(trained(folder), new)
    yield Row(
        f"last tenth of a compressor's clips called anomalous (before: {off:.0%})", "10 %", f"{auto:.0%}", auto < 0.2
    )


def wandering(work: Path) -> Iterator[Row]:
    """Bearings that run to failure: the next tenth of healthy life, and the failure."""
    found = []
    for seed in SEEDS:
        life = bearing(seed)
        for n_clips in TRAININGS:
            folder = write(work / f"bearing_{seed}_{n_clips}", life[:n_clips])
            off, auto = trained(folder, "calibration_blocks=off"), trained(folder)
            following = life[n_clips : n_clips + n_clips // 10]
            failure = life[N_HEALTHY + N_FAILING // 2 :]
            area = roc_auc(
                np.repeat([False, True], [len(following), len(failure)]), scores(auto, [*following, *failure])
            )
            found.append((flagged(off, following), flagged(auto, following), area, flagged(auto, failure)))
            shutil.rmtree(folder)
    off, auto, area, failure = np.mean(found, axis=0)
    yield Row(
        f"next tenth of a bearing's healthy life called anomalous, {len(found)} trainings (before: {off:.0%})",
        "at most 10 %",
        f"{auto:.0%}",
        auto <= FALSE_ALARMS,
    )
    yield Row("AUC of its failure against that tenth", "at least 95", f"{100 * area:.1f}", area >= 0.95)
    yield Row("its failure called anomalous, second half", "at least 80 %", f"{failure:.0%}", failure >= 0.8)


def steady(work: Path) -> Iterator[Row]:
    """Numbers that carry no time: nothing changes."""
    changed = []
    for seed in range(10):
        folder = write(work / f"steady_{seed}", [machine(1000 * seed + index, seconds=1.0) for index in range(60)])
        off, auto = trained(folder, "calibration_blocks=off"), trained(folder)
        changed.append(off.threshold.value != auto.threshold.value)
    yield Row("trainings that an order without time changes", "at most 1 of 10", str(sum(changed)), sum(changed) <= 1)


def cost(work: Path) -> Iterator[Row]:
    """Share of a training's time that the search takes."""
    folder = write(work / "cost", [machine(index, seconds=10.0) for index in range(200)])
    seconds = []
    for override in ("dependence=ignore", "dependence=find"):
        started = time.process_time()
        trained(folder, override, "calibration_blocks=off")
        seconds.append(time.process_time() - started)
    share = seconds[1] / seconds[0] - 1
    yield Row("time of the search for shared sound, 200 clips", "at most 10 %", f"{share:.0%}", share <= 0.1)


def rows(work: Path) -> Iterator[Row]:
    """All promises."""
    yield from copies(work)
    yield from overlaps(work)
    if "SOUNDNESS_DATA" in os.environ:
        yield from toy_cars(work)
        yield from compressor(work)
    yield from wandering(work)
    yield from steady(work)
    yield from cost(work)


if __name__ == "__main__":
    sys.exit(measure_rows(rows, description=__doc__))

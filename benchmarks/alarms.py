"""From a score to an alarm: promised and measured, side by side; writes the tables of docs.

SOUNDNESS_DATA=... python benchmarks/alarms.py [--only calibration] [--work DIR]

Needs the environment variable SOUNDNESS_DATA and some minutes. What is finished is kept in the work folder and not
measured again. Exit status 1 if a promise is not kept.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import soundness
from exports import export
from normality import drift, enrolment
from page_times import pages
from pointing import explain
from promises import Row, measure
from soundness.audio.log_mel import LogMel
from soundness.detectors.detector import Detector
from soundness.detectors.reader import read_recording
from soundness.scoring import NearestNeighborScorer
from soundness.scoring.decisions.calibration import Calibration, n_flagged
from soundness.scoring.protocol import ANY_DOMAIN, TrainingVectors
from soundness.settings.loading import load_settings
from soundness.settings.system import SystemSettings

DOCS = Path(__file__).parents[1] / "docs"
SYSTEM = "log-mel-whitened"
N_DRAWS = 50
N_TRAINING = {"source": 60, "target": 20}
RATES = (0.05, 0.1, 0.2)

Vectors = Mapping[str, NDArray[np.float64]]
"""Mean log-mels of normal clips, dB, shape ``(clip, mel)``, by domain."""


def factory_clips(work: Path) -> dict[str, list[Path]]:
    """Normal clips of the factory's fan by domain, all of them exchangeable within it."""
    data = work / "calibration-data"
    if not data.exists():
        soundness.make_data(
            data,
            machines=("fan",),
            n_train=520,
            n_target_train=200,
            n_test_normal=2,
            n_test_anomaly=2,
            n_supplemental=0,
            seconds=2.0,
            seed=11,
        )
    clips = sorted((data / "fan" / "train").glob("*.wav"))
    return {domain: [clip for clip in clips if f"_{domain}_" in clip.name] for domain in N_TRAINING}


def mean_log_mels(clips: list[Path], settings: SystemSettings, *, noise_db: float | None = None) -> NDArray[np.float64]:
    """Scores of clips, with noise added at a level in dB above their own where it is not ``None``."""
    log_mel = LogMel(settings.log_mel, sample_rate=settings.audio.sample_rate)
    rng = np.random.default_rng(0)
    rows = []
    for clip in clips:
        waveform = read_recording(clip, settings)
        if noise_db is not None:
            level = np.sqrt(np.mean(np.square(waveform))) * 10 ** (noise_db / 20)
            waveform = waveform + (level * rng.standard_normal(waveform.shape)).astype(np.float32)
        rows.append(log_mel(waveform[0]).mean(axis=-1, dtype=np.float64))
    return np.stack(rows)


def training_vectors(vectors: Vectors) -> TrainingVectors:
    """Some clips as a scorer is fitted to them."""
    stacked = np.concatenate(list(vectors.values()))
    domains = np.repeat(np.arange(len(vectors)), [len(rows) for rows in vectors.values()])
    return TrainingVectors(
        vectors=stacked[:, None],
        own_conditions=np.zeros(len(stacked), dtype=np.int64),
        clip_domains=domains,
        condition_domains=np.array([ANY_DOMAIN], dtype=np.int64),
    )


def drawn(vectors: Vectors, counts: Mapping[str, int], rng: np.random.Generator) -> tuple[Vectors, Vectors]:
    """So many clips of each domain at random, and the others."""
    orders = {domain: rng.permutation(len(rows)) for domain, rows in vectors.items()}
    return (
        {domain: vectors[domain][order[: counts[domain]]] for domain, order in orders.items()},
        {domain: vectors[domain][order[counts[domain] :]] for domain, order in orders.items()},
    )


def scores_of(scorer: NearestNeighborScorer, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of clips, shape ``(clip,)``."""
    return np.array([scorer.score(row[None]) for row in rows])


def fresh_calibration(vectors: Vectors, settings: SystemSettings, rng: np.random.Generator) -> Iterator[Row]:
    """Draws of calibration clips that the detector was not fitted on, from one pool; the rest of it is tested."""
    fitted, rest = drawn(vectors, N_TRAINING, rng)
    scorer = NearestNeighborScorer.fit(training_vectors(fitted), settings.scorer)
    pools = {domain: scores_of(scorer, rows) for domain, rows in rest.items()}
    for domain, count in (("source", 100), ("target", 60)):
        found: dict[float, list[int]] = {rate: [] for rate in RATES}
        n_tested = len(pools[domain]) - count
        for _ in range(N_DRAWS):
            order = rng.permutation(pools[domain])
            p_values = Calibration.from_scores({domain: order[:count]}, origin="fresh").p_values(order[count:])
            for rate in RATES:
                found[rate].append(int((p_values <= rate).sum()))
        for rate, n_alarms in found.items():
            n_above = n_flagged(rate, count)
            promised, achieved = n_above / (count + 1), np.mean(n_alarms) / n_tested
            band = stats.betabinom(n_tested, n_above, count + 1 - n_above).interval(0.95)
            n_inside = sum(band[0] <= n <= band[1] for n in n_alarms)
            yield Row(
                f"{count} fresh {domain} clips, p-value of {rate:g} or less",
                f"{100 * promised:.1f} % ± 1; about 95 % of draws in their beta-binomial band",
                f"{100 * achieved:.1f} %; {n_inside} of {N_DRAWS} draws inside",
                abs(achieved - promised) <= 0.01 and n_inside >= 0.88 * N_DRAWS,
            )


def left_out_calibration(vectors: Vectors, settings: SystemSettings, rng: np.random.Generator) -> Iterator[Row]:
    """Draws of training clips, each left out of bank and whitening in turn; all other clips are tested."""
    own: dict[str, list[float]] = {domain: [] for domain in N_TRAINING}
    both: dict[str, list[float]] = {domain: [] for domain in N_TRAINING}
    for _ in range(N_DRAWS):
        fitted, rest = drawn(vectors, N_TRAINING, rng)
        training = training_vectors(fitted)
        scorer = NearestNeighborScorer.fit(training, settings.scorer)
        left_out = scorer.left_out_scores()
        by_domain = {name: left_out[training.clip_domains == index] for index, name in enumerate(fitted)}
        for name, rows in rest.items():
            scores = scores_of(scorer, rows[:80])
            alone = Calibration.from_scores({name: by_domain[name]}, origin="left-out")
            own[name].append(float(np.mean(alone.p_values(scores) <= 0.1)))
            largest = Calibration.from_scores(by_domain, origin="left-out")
            both[name].append(float(np.mean(largest.p_values(scores) <= 0.1)))
    for name, count in N_TRAINING.items():
        promised, achieved = n_flagged(0.1, count) / (count + 1), float(np.mean(own[name]))
        yield Row(
            f"{count} left-out {name} clips, no network, p-value of 0.1 or less",
            f"at most {100 * promised:.1f} %, within 1",
            f"{100 * achieved:.1f} %; the largest p-value of both domains: {100 * np.mean(both[name]):.1f} %",
            achieved <= promised + 0.01,
        )


def networks(work: Path, clips: Mapping[str, list[Path]]) -> Iterator[Row]:
    """One training each of the report's network: what its p-values are worth, and what holding out costs."""
    data = work / "calibration-network"
    for domain, count in N_TRAINING.items():
        for clip in clips[domain][:count]:
            target = data / "fan" / "train" / clip.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(clip.read_bytes())
    for how in ("left-out", "held-out"):
        overrides = [f"calibration={how}", "training.max_steps=200", "separation=off"]
        (detector,) = soundness.train(
            data,
            work / f"calibration-{how}",
            system=load_settings("conditional", overrides=overrides),
            existing="replace",
        )
        shares = {domain: network_share(detector, domain, clips[domain][-100:]) for domain in N_TRAINING}
        shown = ", ".join(f"{domain} {100 * share:.0f} % of {n}" for domain, (share, n) in shares.items())
        yield Row(f"`conditional`, {how}, p-value of 0.1 or less in the own domain", "", shown, True)


def network_share(detector: Detector, domain: str, clips: list[Path]) -> tuple[float, str]:
    """Share of normal clips that are flagged at a tenth, and how many clips calibrate it."""
    assert detector.calibration is not None
    own = detector.calibration.scores[domain]
    scores = np.array([soundness.score_clip(detector, clip) for clip in clips])
    alone = Calibration.from_scores({domain: own}, origin=detector.calibration.origin)
    return float(np.mean(alone.p_values(scores) <= 0.1)), f"100 new clips ({len(own)} calibrate)"


def shifted(
    vectors: Vectors, clips: Mapping[str, list[Path]], settings: SystemSettings, rng: np.random.Generator
) -> Iterator[Row]:
    """False alarms at a promise of 10 % where normal sounds change."""
    fitted, rest = drawn(vectors, N_TRAINING, rng)
    scorer = NearestNeighborScorer.fit(training_vectors(fitted), settings.scorer)
    calibrating = {"source": rest["source"][:100], "target": rest["target"][:60]}
    scores = {domain: scores_of(scorer, rows) for domain, rows in calibrating.items()}
    alone = Calibration.from_scores({"source": scores["source"]}, origin="fresh")
    both = Calibration.from_scores(scores, origin="fresh")
    tests = {
        "new source clips": rest["source"][100:],
        "new target clips": rest["target"][60:],
        "source clips, 3 dB louder": rest["source"][100:] + 3.0,
        "source clips, 12 dB louder": rest["source"][100:] + 12.0,
        "source clips with white noise, 20 dB below them": mean_log_mels(
            clips["source"][-80:], settings, noise_db=-20.0
        ),
        "source clips with white noise as loud": mean_log_mels(clips["source"][-80:], settings, noise_db=0.0),
    }
    for what, rows in tests.items():
        found = scores_of(scorer, rows)
        shares = [100 * np.mean(one.p_values(found) <= 0.1) for one in (alone, both)]
        measured = f"calibrated by source alone {shares[0]:.0f} %, by both domains {shares[1]:.0f} %"
        yield Row(f"10 % promised; {what}", "" if "new source" in what else "none", measured, True)


def calibration(work: Path) -> Iterator[Row]:
    """The factory's fan: achieved rates of false alarms on exchangeable clips, and on clips that are not."""
    settings, clips = load_settings(SYSTEM), factory_clips(work)
    vectors = {domain: mean_log_mels(found, settings) for domain, found in clips.items()}
    yield from fresh_calibration(vectors, settings, np.random.default_rng(0))
    yield from left_out_calibration(vectors, settings, np.random.default_rng(1))
    yield from networks(work, clips)
    yield from shifted(vectors, clips, settings, np.random.default_rng(2))


SECTIONS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "calibration": calibration,
    "enrolment": enrolment,
    "drift": drift,
    "explain": explain,
    "export": export,
    "pages": pages,
}


if __name__ == "__main__":
    sys.exit(
        measure(
            SECTIONS,
            description=__doc__.splitlines()[0],
            page=DOCS / "alarms.md",
            work=Path("out/benchmark-alarms"),
            pages={"explain": DOCS / "explanations.md", "export": DOCS / "export.md", "pages": DOCS / "report.md"},
        )
    )

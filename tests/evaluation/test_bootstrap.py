"""The bootstrap over clips, against scikit-learn, and what must hold of any."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import soundness
from soundness.errors import ScoresError
from soundness.evaluation.bootstrap import bootstrap_intervals, compare
from soundness.evaluation.metrics import partial_aucs, roc_aucs
from soundness.evaluation.results import evaluate
from soundness.evaluation.score_files import ClipScore, read_scores, write_scores

N_RESAMPLES = 1000
Rows = dict[str, float]


def rows_of(rng: np.random.Generator, *, n_clips: int = 10, gain: float = 1.0, section: str = "section_00") -> Rows:
    """Scores of clips of both domains and labels, some of them equal."""
    return {
        f"{section}_{domain}_test_{label}_{number:04}_x": round(float(rng.normal(gain * (label == "anomaly"))), 1)
        for domain in ("source", "target")
        for label in ("normal", "anomaly")
        for number in range(n_clips)
    }


def write(folder: Path, rows: Rows, *, machine: str = "fan", section: str = "section_00") -> Path:
    write_scores(folder, machine, section, [ClipScore(f"{name}.wav", score, 0) for name, score in rows.items()])
    return folder


def better(rows: Rows, *, by: float) -> Rows:
    return {name: score + by * ("anomaly" in name) for name, score in rows.items()}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_of_a_resample_is_that_of_scikit_learn_for_its_clips(seed: int) -> None:
    random = rng(seed)
    labels = random.permutation(np.repeat([0, 1], [20, 15]))
    scores = np.round(random.normal(labels, 1.0), 1)
    weights = random.integers(0, 4, (6, 35))
    repeated = [(np.repeat(labels, row), np.repeat(scores, row)) for row in weights]
    for max_fpr in (0.05, 0.1, 0.5):
        expected = [roc_auc_score(own, values, max_fpr=max_fpr) for own, values in repeated]
        assert partial_aucs(labels, scores, weights, max_fpr=max_fpr) == pytest.approx(np.array(expected), abs=1e-12)
    expected = [roc_auc_score(own, values) for own, values in repeated]
    assert roc_aucs(labels, scores, weights) == pytest.approx(np.array(expected), abs=1e-12)


def test_a_resample_without_a_class_has_no_area() -> None:
    weights = np.array([[1, 1, 0], [1, 1, 1]])
    for areas in (roc_aucs([0, 0, 1], [1, 2, 3], weights), partial_aucs([0, 0, 1], [1, 2, 3], weights)):
        assert np.isnan(areas[0])
        assert areas[1] == 1.0


@pytest.mark.parametrize("metric", ["2020", "2021", "2022"])
def test_the_figures_are_those_of_the_evaluation(tmp_path: Path, metric: str) -> None:
    for machine, section in (("fan", "section_00"), ("fan", "section_01"), ("pump", "section_00")):
        write(tmp_path, rows_of(rng(len(machine + section)), section=section), machine=machine, section=section)
    evaluation = evaluate(tmp_path, metric=metric)
    found = bootstrap_intervals(tmp_path, rng=rng(), metric=metric, n_resamples=N_RESAMPLES)
    assert found.score is not None
    assert found.score.value == pytest.approx(evaluation.score, abs=1e-12)
    assert found.score.low < found.score.value < found.score.high
    assert (found.metric, found.definition) == (evaluation.metric, evaluation.definition)
    for row, mean in zip(found.machines, evaluation.machine_means, strict=True):
        assert row.score is not None
        assert row.score.value == pytest.approx(mean.score, abs=1e-12)
        for name, interval in row.figures.items():
            assert interval.value == pytest.approx(getattr(mean.figures, name), abs=1e-12)
    assert [row.n_clips for row in found.machines] == [80, 40]


def test_an_interval_is_that_of_a_plain_bootstrap_which_counts_pairs(tmp_path: Path) -> None:
    rows = rows_of(rng(3), n_clips=25)
    found = bootstrap_intervals(write(tmp_path, rows), rng=rng(), n_resamples=4000).machines[0].figures["auc_source"]
    strata = [
        np.array([score for name, score in rows.items() if key in name])
        for key in ("source_test_normal", "source_test_anomaly", "target_test_anomaly")
    ]
    random, areas = rng(1), []
    for _ in range(4000):
        normal, *anomalous = (random.choice(scores, scores.size) for scores in strata)
        higher = np.concatenate(anomalous)[:, None] - normal
        areas.append(float(((higher > 0) + 0.5 * (higher == 0)).mean()))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(areas, (0.025, 0.975))), abs=0.008)


def test_a_resample_draws_within_label_and_domain(tmp_path: Path) -> None:
    rows = rows_of(rng(), n_clips=1)
    found = bootstrap_intervals(write(tmp_path, rows), rng=rng(), n_resamples=N_RESAMPLES)
    assert found.score is not None
    assert found.score.low == found.score.value == found.score.high  # each resample is the clips themselves


def test_the_seed_decides_the_resamples(tmp_path: Path) -> None:
    write(tmp_path, rows_of(rng()))
    first, again, other = (bootstrap_intervals(tmp_path, rng=rng(seed), n_resamples=N_RESAMPLES) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_missing_class_leaves_the_figures_that_there_are(tmp_path: Path) -> None:
    rows = {name: score for name, score in rows_of(rng()).items() if "target_test_normal" not in name}
    found = bootstrap_intervals(write(tmp_path, rows), rng=rng(), n_resamples=N_RESAMPLES)
    assert found.score is None
    assert set(found.machines[0].figures) == {"auc", "auc_source", "pauc"}
    assert found.notes == ("fan: too few clips for auc_target, so no score of it, nor of all machines",)
    comparison = compare(tmp_path, tmp_path, n_resamples=N_RESAMPLES)
    assert (comparison.score, comparison.machines[0].score, comparison.notes) == (None, None, found.notes)


def test_a_folder_compared_with_itself_differs_in_nothing(tmp_path: Path) -> None:
    write(tmp_path, rows_of(rng()))
    score = compare(tmp_path, tmp_path, n_resamples=N_RESAMPLES).score
    assert score is not None
    assert (score.difference.value, score.difference.low, score.difference.high) == (0, 0, 0)
    assert (score.p_value, score.first) == (1.0, score.second)


def test_a_better_system_is_told_from_a_worse_one(tmp_path: Path) -> None:
    rows = rows_of(rng(), n_clips=25)
    write(tmp_path / "worse", rows)
    write(tmp_path / "better", better(rows, by=1.5))
    score = compare(tmp_path / "better", tmp_path / "worse", n_resamples=N_RESAMPLES).score
    assert score is not None
    assert score.first.value == pytest.approx(evaluate(tmp_path / "better").score)
    assert score.second.value == pytest.approx(evaluate(tmp_path / "worse").score)
    assert score.difference.value == pytest.approx(score.first.value - score.second.value)
    assert score.difference.low > 0
    assert score.p_value == pytest.approx(2 / 1001)  # no resample on the other side
    reverse = compare(tmp_path / "worse", tmp_path / "better", n_resamples=N_RESAMPLES).score
    assert reverse is not None
    assert reverse.difference.high == pytest.approx(-score.difference.low)
    assert reverse.p_value == score.p_value


def test_a_paired_difference_is_surer_than_the_scores(tmp_path: Path) -> None:
    rows = rows_of(rng(), n_clips=25)
    write(tmp_path / "a", better(rows, by=0.2))
    write(tmp_path / "b", rows)
    score = compare(tmp_path / "a", tmp_path / "b", n_resamples=N_RESAMPLES).score
    assert score is not None
    assert score.difference.high - score.difference.low < 0.5 * (score.first.high - score.first.low)


def test_machines_are_compared_one_by_one(tmp_path: Path) -> None:
    fan, pump = rows_of(rng(0)), rows_of(rng(1))
    for folder, by in (("a", 3.0), ("b", 0.0)):
        write(tmp_path / folder, better(fan, by=by))
        write(tmp_path / folder, pump, machine="pump")
    comparison = compare(tmp_path / "a", tmp_path / "b", n_resamples=N_RESAMPLES)
    differences = {row.machine_type: row.score for row in comparison.machines}
    assert differences["fan"] is not None
    assert differences["pump"] is not None
    assert differences["fan"].p_value < 0.01
    assert (differences["pump"].difference.value, differences["pump"].p_value) == (0.0, 1.0)
    assert comparison.n_clips == 80


def test_the_order_of_the_clips_does_not_matter(tmp_path: Path) -> None:
    rows = rows_of(rng())
    write(tmp_path / "a", rows)
    write(tmp_path / "b", better(rows, by=0.5))
    write(tmp_path / "b reversed", dict(reversed(better(rows, by=0.5).items())))
    found = [compare(tmp_path / "a", tmp_path / b, n_resamples=N_RESAMPLES) for b in ("b", "b reversed")]
    assert found[0] == found[1]


def test_clips_of_one_folder_only_are_left_out_of_both_and_said(tmp_path: Path) -> None:
    rows = rows_of(rng())
    common = dict(list(rows.items())[2:])
    write(tmp_path / "a", rows)
    write(tmp_path / "b", better(common, by=1.0))
    write(tmp_path / "b", rows, machine="pump")
    write(tmp_path / "common", common)
    comparison = compare(tmp_path / "a", tmp_path / "b", n_resamples=N_RESAMPLES)
    reduced = compare(tmp_path / "common", tmp_path / "b", n_resamples=N_RESAMPLES)
    assert comparison.score == reduced.score
    assert comparison.n_clips == 38
    assert f"fan section_00: 2 clips only in {tmp_path / 'a'}; left out of both" in comparison.notes
    assert f"pump section_00: 40 clips only in {tmp_path / 'b'}; left out of both" in comparison.notes


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", rows_of(rng()))
    write(tmp_path / "b", rows_of(rng()), machine="pump")
    with pytest.raises(ScoresError, match="no labelled clip in common with"):
        compare(tmp_path / "a", tmp_path / "b")


def test_too_few_resamples_are_refused(tmp_path: Path) -> None:
    write(tmp_path, rows_of(rng()))
    with pytest.raises(ScoresError, match="at least 1,000 resamples, got 999"):
        bootstrap_intervals(tmp_path, rng=rng(), n_resamples=999)
    with pytest.raises(ScoresError, match="at least 1,000 resamples, got 1"):
        soundness.compare(tmp_path, tmp_path, n_resamples=1)


def test_many_clips_are_resampled_in_portions(tmp_path: Path) -> None:
    rows = rows_of(rng(5), n_clips=700)
    found = bootstrap_intervals(write(tmp_path, rows), rng=rng(), n_resamples=N_RESAMPLES).machines[0].figures["auc"]
    labels = np.array(["anomaly" in name for name in rows])
    normal, anomalous = (np.array(list(rows.values()))[labels == label] for label in (False, True))
    wins = (anomalous[:, None] > normal) + 0.5 * (anomalous[:, None] == normal)
    # The variance of a Mann-Whitney statistic by its projections (DeLong).
    deviation = np.sqrt(wins.mean(axis=1).var() / len(anomalous) + wins.mean(axis=0).var() / len(normal))
    assert found.high - found.low == pytest.approx(2 * 1.96 * deviation, rel=0.1)


def test_published_scores_keep_their_published_score(published_scores: Path) -> None:
    found = bootstrap_intervals(published_scores, rng=rng(), n_resamples=N_RESAMPLES)
    assert found.score is not None
    assert f"{100 * found.score.value:.2f}" == "58.73"
    assert 0.02 < found.score.high - found.score.low < 0.08
    assert [row.n_clips for row in found.machines] == [200] * len(read_scores(published_scores))

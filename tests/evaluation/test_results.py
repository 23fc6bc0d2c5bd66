"""Metrics and evaluation, against scikit-learn, hand-worked values and published figures."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from soundness.data.clips import Domain
from soundness.errors import DataError, ScoresError
from soundness.evaluation.metrics import harmonic_mean, partial_auc, roc_auc
from soundness.evaluation.results import Evaluation, evaluate, table_rows
from soundness.evaluation.score_files import ClipScore, write_scores
from soundness.evaluation.truth import ClipTruth, truth_from_dataset, truth_from_evaluator, truth_from_names

# Few levels, so that ties are common; integers, so that monotone maps keep them apart.
clips_with_both_labels = st.lists(st.tuples(st.integers(0, 1), st.integers(-6, 6)), min_size=2, max_size=60).filter(
    lambda clips: len({label for label, _ in clips}) == 2
)
Clips = list[tuple[int, int]]


def columns(clips: Clips) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = np.array(clips).T
    return labels, scores.astype(np.float64)


@settings(deadline=None)
@given(clips_with_both_labels)
def test_the_auc_is_that_of_scikit_learn(clips: Clips) -> None:
    labels, scores = columns(clips)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@settings(deadline=None)
@given(clips_with_both_labels, st.floats(0.01, 0.99))
def test_the_partial_auc_is_that_of_scikit_learn(clips: Clips, max_fpr: float) -> None:
    labels, scores = columns(clips)
    expected = roc_auc_score(labels, scores, max_fpr=max_fpr)
    assert partial_auc(labels, scores, max_fpr=max_fpr) == pytest.approx(expected, abs=1e-9)
    assert partial_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1), abs=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_are_those_of_scikit_learn_for_many_clips(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 5000)
    scores = np.round(rng.normal(labels, 1.0), 2)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert partial_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores, max_fpr=0.1), abs=1e-12)


@pytest.mark.parametrize("metric", [roc_auc, partial_auc])
@settings(deadline=None)
@given(clips=clips_with_both_labels)
def test_monotone_maps_change_nothing(metric: Callable[..., float], clips: Clips) -> None:
    labels, scores = columns(clips)
    assert metric(labels, np.exp(scores)) == pytest.approx(metric(labels, scores), abs=1e-12)
    assert metric(labels, scores**3 * 1e6 - 5) == pytest.approx(metric(labels, scores), abs=1e-12)


@settings(deadline=None)
@given(clips_with_both_labels)
def test_negated_scores_have_the_complementary_auc(clips: Clips) -> None:
    labels, scores = columns(clips)
    assert roc_auc(labels, -scores) == pytest.approx(1 - roc_auc(labels, scores), abs=1e-12)
    assert roc_auc(1 - labels, scores) == pytest.approx(1 - roc_auc(labels, scores), abs=1e-12)


@settings(deadline=None)
@given(clips_with_both_labels)
def test_a_partial_auc_of_everything_is_the_auc(clips: Clips) -> None:
    labels, scores = columns(clips)
    assert partial_auc(labels, scores, max_fpr=1.0) == pytest.approx(roc_auc(labels, scores), abs=1e-12)


def test_the_auc_counts_pairs_and_ties_half() -> None:
    # normal 1, 2; anomalous 2, 0: pairs (2 > 1), (2 = 2), (0 < 1), (0 < 2) give 1.5 of 4.
    assert roc_auc([0, 0, 1, 1], [1, 2, 2, 0]) == 0.375


def test_a_partial_auc_worked_by_hand() -> None:
    # Ten normal clips, the highest above the second anomalous one: half are found at a false-positive rate
    # below 0.1, so the area is 0.05; (0.05 - 0.005) / (0.1 - 0.005) = 9 / 19; 0.5 * (1 + 9 / 19) = 14 / 19.
    labels = [1, 0, 1] + [0] * 9
    assert partial_auc(labels, range(12, 0, -1)) == pytest.approx(14 / 19, abs=1e-12)


@pytest.mark.parametrize("metric", [roc_auc, partial_auc])
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0], [1.0, 2.0], r"labels 0 and 1, both of them, got \[0\]"),
        ([], [], r"both of them, got \[\]"),
        ([0, 1, 2], [1.0, 2.0, 3.0], r"got \[0, 1, 2\]"),
        ([0, 1], [1.0, np.nan], "without NaN"),
        ([0, 1], [1.0], r"one shape \(clip,\), got \(2,\) and \(1,\)"),
    ],
)
def test_what_has_no_auc_is_refused(
    metric: Callable[..., float], labels: list[int], scores: list[float], message: str
) -> None:
    with pytest.raises(ScoresError, match=message):
        metric(labels, scores)


@pytest.mark.parametrize("max_fpr", [0.0, -0.1, 1.1, np.nan])
def test_a_false_positive_rate_lies_between_0_and_1(max_fpr: float) -> None:
    with pytest.raises(ScoresError, match="max_fpr must be above 0 and at most 1"):
        partial_auc([0, 1], [0.0, 1.0], max_fpr=max_fpr)


def test_a_harmonic_mean_is_floored_at_the_epsilon() -> None:
    assert harmonic_mean([0.5, 1.0, 0.25]) == pytest.approx(3 / 7)
    assert harmonic_mean([0.0, 1.0]) == pytest.approx(2 * np.finfo(float).eps)


# Two normal clips and an anomalous one of each domain; target scores are higher throughout.
FAN = {
    "section_00_source_test_normal_0000_x.wav": (1.0, 0),
    "section_00_source_test_normal_0001_x.wav": (3.0, 1),
    "section_00_source_test_anomaly_0000_x.wav": (2.0, 0),
    "section_00_target_test_normal_0000_x.wav": (4.0, 1),
    "section_00_target_test_normal_0001_x.wav": (6.0, 1),
    "section_00_target_test_anomaly_0000_x.wav": (5.0, 1),
}


def write(folder: Path, machine_type: str, rows: dict[str, tuple[float, int]], *, section: str = "section_00") -> None:
    write_scores(folder, machine_type, section, [ClipScore(name, *row) for name, row in rows.items()])


def without_labels(rows: dict[str, tuple[float, int]]) -> dict[str, tuple[float, int]]:
    return {f"section_00_{number:04}.wav": row for number, row in enumerate(rows.values())}


def write_evaluator_truth(folder: Path, machine_type: str, rows: dict[str, tuple[float, int]]) -> None:
    """The official evaluator's files for clips whose labels are hidden by `without_labels`."""
    for kind, word in {"data": "anomaly", "domain": "target"}.items():
        (folder / f"ground_truth_{kind}").mkdir(parents=True, exist_ok=True)
        lines = [f"{new},{int(word in old)}\n" for old, new in zip(rows, without_labels(rows), strict=True)]
        path = folder / f"ground_truth_{kind}" / f"ground_truth_{machine_type}_section_00_test.csv"
        path.write_text("".join(lines))


def write_dataset(folder: Path, machine_type: str, rows: dict[str, tuple[float, int]]) -> None:
    for split in ("train", "test"):
        (folder / machine_type / split).mkdir(parents=True)
    (folder / machine_type / "train" / "section_00_source_train_normal_0000_x.wav").touch()
    for name in rows:
        (folder / machine_type / "test" / name).touch()


def test_a_domain_has_its_own_normal_clips_and_all_anomalous_ones(tmp_path: Path) -> None:
    write(tmp_path, "fan", FAN)
    (row,) = evaluate(tmp_path).machines
    assert (row.n_normal, row.n_normal_source, row.n_normal_target, row.n_anomalous) == (4, 2, 2, 2)
    # Source: 2 against 1, 3 and 5 against 1, 3: three of four. Target: 2 and 5 against 4, 6: one of four.
    assert row.figures.auc_source == 0.75
    assert row.figures.auc_target == 0.25
    assert row.figures.auc == 0.5


def test_decisions_are_judged_within_a_domain(tmp_path: Path) -> None:
    write(tmp_path, "fan", FAN)
    figures = evaluate(tmp_path).machines[0].figures
    assert (figures.precision_source, figures.recall_source, figures.f1_source) == (0.0, 0.0, 0.0)
    assert figures.precision_target == pytest.approx(1 / 3)
    assert (figures.recall_target, figures.f1_target) == (1.0, 0.5)
    assert (figures.false_alarm_rate_source, figures.false_alarm_rate_target) == (0.5, 1.0)
    assert (figures.false_alarm_rate, figures.recall) == (0.75, 0.5)


@settings(max_examples=40, deadline=None)
@given(clips=st.lists(st.tuples(st.booleans(), st.integers(0, 1)), max_size=30))
def test_precision_recall_and_f1_are_those_of_scikit_learn(
    clips: list[tuple[bool, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("scores")
    clips = [(False, 0), (True, 1), *clips]
    rows = {
        f"section_00_source_test_{'anomaly' if label else 'normal'}_{number:04}_x.wav": (0.0, call)
        for number, (label, call) in enumerate(clips)
    }
    write(folder, "fan", rows)
    figures = evaluate(folder).machines[0].figures
    labels, calls = [label for label, _ in clips], [call == 1 for _, call in clips]
    for suffix in ("", "_source"):
        assert getattr(figures, f"precision{suffix}") == pytest.approx(precision_score(labels, calls, zero_division=0))
        assert getattr(figures, f"recall{suffix}") == pytest.approx(recall_score(labels, calls))
        assert getattr(figures, f"f1{suffix}") == pytest.approx(f1_score(labels, calls))


def test_the_official_score_is_the_harmonic_mean_of_all_three_figures(tmp_path: Path) -> None:
    write(tmp_path, "fan", FAN)
    write(tmp_path, "valve", {name: (score + 100 * ("anomaly" in name), 0) for name, (score, _) in FAN.items()})
    evaluation = evaluate(tmp_path)
    pauc = roc_auc_score([0, 0, 1, 0, 0, 1], [1, 3, 2, 4, 6, 5], max_fpr=0.1)
    expected = 6 / (1 / 0.75 + 1 / 0.25 + 1 / pauc + 3)
    assert evaluation.official_score == pytest.approx(expected)
    assert evaluation.harmonic_means.auc_target == pytest.approx(0.4)
    assert evaluation.arithmetic_means.auc_target == pytest.approx(0.625)
    assert evaluation.harmonic_means.false_alarm_rate is None
    assert evaluation.arithmetic_means.false_alarm_rate == pytest.approx(0.375)
    assert (evaluation.mean_auc, evaluation.mean_pauc) == (0.75, pytest.approx((1 + pauc) / 2))
    assert "not as in DCASE 2021" in evaluation.definition
    assert evaluation.notes == ()


def test_an_auc_of_zero_does_not_break_the_official_score(tmp_path: Path) -> None:
    write(tmp_path, "fan", {name: (-float("anomaly" in name), 0) for name in FAN})
    score = evaluate(tmp_path).official_score
    assert score is not None
    assert 0 < score < 1e-12


def test_data_of_2020_have_arithmetic_means_and_no_official_score(tmp_path: Path) -> None:
    for section, anomalous in {"id_00": 5.0, "id_02": 1.5}.items():
        rows = {f"normal_{section}_00000000.wav": (1.0, 0), f"normal_{section}_00000001.wav": (2.0, 0)}
        write(tmp_path, "slider", rows | {f"anomaly_{section}_00000000.wav": (anomalous, 1)}, section=section)
    evaluation = evaluate(tmp_path)
    assert [row.figures.auc for row in evaluation.machines] == [1.0, 0.5]
    assert evaluation.official_score is None
    assert evaluation.mean_auc == 0.75
    # At id_02 nothing is found below a false-positive rate of 0.1: 0.5 * (1 - 0.005 / 0.095) = 9 / 19.
    assert evaluation.mean_pauc == pytest.approx((1 + 9 / 19) / 2)
    assert "DCASE 2020" in evaluation.definition
    assert table_rows(evaluation)[0][:4] == ("machine", "section", "AUC", "pAUC")


@pytest.mark.parametrize("kind", ["evaluator", "evaluator's inner folder", "dataset"])
def test_every_kind_of_truth_gives_the_same_figures(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "named", "fan", FAN)
    truth, scores = tmp_path / "truth", tmp_path / "scores"
    if kind == "dataset":
        write_dataset(truth, "fan", FAN)
        write(scores, "fan", FAN)
    else:
        write_evaluator_truth(truth, "fan", FAN)
        write(scores, "fan", without_labels(FAN))
    where = truth / "ground_truth_data" if "inner" in kind else truth
    assert evaluate(scores, truth=where) == evaluate(tmp_path / "named")


def test_names_tell_label_and_domain_of_test_clips_only() -> None:
    names = [
        "section_00_source_test_normal_0000_ac_0.11.wav",
        "section_00_target_anomaly_0059_weight25_BckgE",
        "anomaly_id_02_00000001.flac",
        "section_00_0001.wav",
        "section_00_source_train_normal_0000_x.wav",
        "whatever.wav",
    ]
    source: Domain = "source"
    target: Domain = "target"
    assert truth_from_names(names) == {
        "section_00_source_test_normal_0000_ac_0.11": ClipTruth(False, source),
        "section_00_target_anomaly_0059_weight25_BckgE": ClipTruth(True, target),
        "anomaly_id_02_00000001": ClipTruth(True, None),
    }


@pytest.mark.parametrize("kind", ["data", "domain"])
def test_labels_and_domains_join_however_their_files_spell_the_names(tmp_path: Path, kind: str) -> None:
    write_evaluator_truth(tmp_path, "fan", FAN)
    expected = truth_from_evaluator(tmp_path)
    path = tmp_path / f"ground_truth_{kind}" / "ground_truth_fan_section_00_test.csv"
    rows = [row.replace(".wav", "") for row in path.read_text().splitlines()]
    path.write_text("".join(f"fan\\test\\{row}\n" for row in rows))
    assert truth_from_evaluator(tmp_path) == expected
    assert {clip.domain for clip in expected["fan"].values()} == {"source", "target"}


def test_a_truth_without_domains_leaves_them_open(tmp_path: Path) -> None:
    write_evaluator_truth(tmp_path, "fan", FAN)
    for path in (tmp_path / "ground_truth_domain").iterdir():
        path.unlink()
    truth = truth_from_evaluator(tmp_path)["fan"]
    assert [clip.is_anomaly for clip in truth.values()] == [False, False, True] * 2
    assert {clip.domain for clip in truth.values()} == {None}


def test_a_bad_row_of_the_truth_is_named(tmp_path: Path) -> None:
    write_evaluator_truth(tmp_path, "fan", FAN)
    (tmp_path / "ground_truth_data" / "ground_truth_fan_section_00_test.csv").write_text("a.wav,normal\n")
    with pytest.raises(ScoresError, match=r"ground_truth_fan_section_00_test\.csv:1: expected 0 or 1 for a\.wav"):
        truth_from_evaluator(tmp_path)


def test_a_name_with_two_truths_has_none(tmp_path: Path) -> None:
    for name in ("normal/0.wav", "normal/1.wav", "abnormal/0.wav", "abnormal/2.wav"):
        (tmp_path / "fan" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fan" / name).touch()
    truth = truth_from_dataset(tmp_path / "fan")["fan"]
    assert truth == {"1": ClipTruth(False, None, is_test=False), "2": ClipTruth(True, None)}


def test_a_test_clip_counts_as_such_though_a_training_clip_has_its_name(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "slider" / split).mkdir(parents=True)
        (tmp_path / "slider" / split / "normal_id_00_00000007.wav").touch()
    truth = truth_from_dataset(tmp_path)["slider"]
    assert truth == {"normal_id_00_00000007": ClipTruth(False, None, is_test=True)}


def notes_of(evaluation: Evaluation) -> str:
    return "\n".join(evaluation.notes)


def test_one_domain_alone_is_evaluated_and_the_other_named(tmp_path: Path) -> None:
    write(tmp_path, "fan", {name: row for name, row in FAN.items() if "target_test_normal" not in name})
    evaluation = evaluate(tmp_path)
    figures = evaluation.machines[0].figures
    assert (figures.auc_source, figures.auc_target, figures.false_alarm_rate_target) == (0.75, None, None)
    assert evaluation.official_score is None
    assert "fan section_00: no normal clips of the target domain, so no AUC of it" in evaluation.notes
    assert "no official score: fan section_00 lacks one of auc_source, auc_target, pauc" in evaluation.notes


def test_normal_clips_alone_have_false_alarms_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "fan", {name: row for name, row in FAN.items() if "normal" in name})
    write(tmp_path, "valve", FAN)
    evaluation = evaluate(tmp_path)
    figures = evaluation.machines[0].figures
    assert (figures.false_alarm_rate, figures.auc, figures.pauc, figures.auc_source) == (
        0.75,
        None,
        None,
        None,
    )
    assert (figures.precision, figures.recall, figures.f1) == (None, None, None)
    assert "fan section_00: 4 normal and 0 anomalous clips, so no AUC and no pAUC" in evaluation.notes
    assert evaluation.machines[1].figures.auc_source == 0.75


def test_a_machine_without_labels_is_named_and_the_rest_evaluated(tmp_path: Path) -> None:
    write(tmp_path, "fan", FAN)
    write(tmp_path, "valve", without_labels(FAN))
    evaluation = evaluate(tmp_path)
    assert [row.machine_type for row in evaluation.machines] == ["fan"]
    assert "valve section_00: 6 of 6 scored clips have no label; not evaluated" in evaluation.notes
    assert "the official score is that of 1 of 2 scored machines and sections" in evaluation.notes
    assert evaluation.official_score is not None


def test_scores_and_truth_need_not_hold_the_same(tmp_path: Path) -> None:
    truth, scores = tmp_path / "truth", tmp_path / "scores"
    for machine_type in ("fan", "valve"):
        write_evaluator_truth(truth, machine_type, FAN)
    rows = dict(list(without_labels(FAN).items())[:5])
    write(scores, "fan", rows | {"section_00_9999.wav": (9.0, 0)})
    write(scores, "pump", rows)
    evaluation = evaluate(scores, truth=truth)
    assert [row.machine_type for row in evaluation.machines] == ["fan"]
    assert evaluation.machines[0].n_normal + evaluation.machines[0].n_anomalous == 5
    for note in (
        "fan: 1 of 6 test clips of the truth have no score",
        "fan section_00: 1 of 6 scored clips have no label; left out",
        "pump section_00: 5 of 5 scored clips have no label; not evaluated",
        "valve: in the truth, but it has no scores",
    ):
        assert note in evaluation.notes


def test_training_clips_of_a_data_set_are_not_missed(tmp_path: Path) -> None:
    write_dataset(tmp_path / "truth", "fan", FAN)
    write(tmp_path / "scores", "fan", FAN)
    assert evaluate(tmp_path / "scores", truth=tmp_path / "truth").notes == ()


def test_nothing_to_evaluate_is_an_error_that_asks_for_the_truth(tmp_path: Path) -> None:
    write(tmp_path, "fan", without_labels(FAN))
    with pytest.raises(ScoresError, match=r"nothing to evaluate \(fan section_00: 6 of 6 .*\); .*with --truth"):
        evaluate(tmp_path)
    write_evaluator_truth(tmp_path / "truth", "valve", FAN)
    with pytest.raises(ScoresError, match=r"nothing to evaluate with the truth of .*valve: in the truth"):
        evaluate(tmp_path, truth=tmp_path / "truth")


def test_a_truth_that_is_no_folder_of_labels_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "fan", FAN)
    with pytest.raises(DataError, match="nowhere"):
        evaluate(tmp_path, truth=tmp_path / "nowhere")


def test_an_evaluation_survives_json(tmp_path: Path) -> None:
    write(tmp_path, "fan", FAN)
    evaluation = evaluate(tmp_path)
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


def test_the_table_is_in_per_cent_with_the_means_below(tmp_path: Path) -> None:
    write(tmp_path, "fan", FAN)
    assert len(table_rows(evaluate(tmp_path))) == 2
    write(tmp_path, "valve", {name: (score + 100 * ("anomaly" in name), 0) for name, (score, _) in FAN.items()})
    heading, fan, valve, arithmetic, harmonic = table_rows(evaluate(tmp_path))
    assert heading[:5] == ("machine", "section", "AUC source", "AUC target", "pAUC")
    assert heading[5:] == ("F1 source", "F1 target", "false alarms source", "false alarms target")
    assert fan == ("fan", "section_00", "75.0", "25.0", "47.4", "0.0", "50.0", "50.0", "100.0")
    assert valve[:5] == ("valve", "section_00", "100.0", "100.0", "100.0")
    assert arithmetic[:4] == ("arithmetic mean", "", "87.5", "62.5")
    assert harmonic[:4] == ("harmonic mean", "", "85.7", "40.0")
    assert harmonic[-2:] == ("-", "-")


def test_the_table_has_no_columns_of_decisions_where_there_are_none(tmp_path: Path) -> None:
    write(tmp_path, "fan", FAN)
    (tmp_path / "decision_result_fan_section_00_test.csv").unlink()
    evaluation = evaluate(tmp_path)
    assert table_rows(evaluation)[0] == ("machine", "section", "AUC source", "AUC target", "pAUC")
    assert "1 of 1 without decisions, which the official evaluator demands" in notes_of(evaluation)


def test_published_scores_give_their_published_figures(published: Path) -> None:
    evaluation = evaluate(published / "scores_frozen_beats_1nn_dcase2025_dev")
    assert evaluation.official_score is not None
    assert f"{100 * evaluation.official_score:.2f}" == "58.73"
    (car,) = (row.figures for row in evaluation.machines if row.machine_type == "ToyCar")
    assert car.auc_source is not None
    assert car.auc_target is not None
    assert car.pauc is not None
    assert [f"{100 * x:.2f}" for x in (car.auc_source, car.auc_target, car.pauc)] == [
        "75.76",
        "58.98",
        "52.11",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dev", {"baseline-mse": 56.26, "baseline-mahalanobis": 55.34, "report-system": 61.87}),
        ("eval", {"baseline-mse": 54.43, "baseline-mahalanobis": 56.51}),
    ],
)
def test_harmonic_means_of_published_tables(published: Path, name: str, expected: dict[str, float]) -> None:
    with (published / f"dcase2025_{name}.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for system, score in expected.items():
        figures = [
            float(row[column])
            for row in rows
            if row["system"] == system
            for column in ("auc_source", "auc_target", "pauc")
        ]
        assert round(harmonic_mean(figures), 2) == score


def test_scores_and_truth_of_one_machine_each_belong_together_whatever_their_names(tmp_path):
    for index, (folder, name) in enumerate((("normal", "a"), ("normal", "b"), ("abnormal", "c"))):
        path = tmp_path / "held out" / folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.full(100, 0.1 * index), 16_000)
    scores = [ClipScore(f"{name}.wav", value, 0) for name, value in (("a", 0.1), ("b", 0.3), ("c", 0.2))]
    write_scores(tmp_path / "scores", "pump", "section_00", scores)
    evaluation = evaluate(tmp_path / "scores", truth=tmp_path / "held out")
    assert evaluation.machines[0].figures.auc == 0.5
    assert any("compared with the truth of held out" in note for note in evaluation.notes)

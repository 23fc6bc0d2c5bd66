"""Figures of folders of scores, worked out by hand, of scikit-learn and as published."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from scored import FAN, notes_of, without_labels, write, write_dataset, write_evaluator_truth
from soundness.evaluation.results import Evaluation, evaluate, table_rows


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

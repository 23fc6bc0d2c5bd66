"""Verdicts and tables of a report say what was trained and measured."""

from soundness.detectors.saving import load
from soundness.evaluation.results import evaluate
from soundness.evaluation.score_files import ClipScore, write_scores
from soundness.reports.report_tables import count, run_verdict, versions


def test_a_number_goes_with_its_noun():
    assert [count(number, "clip") for number in (0, 1, 1234)] == ["0 clips", "1 clip", "1,234 clips"]


def test_a_training_without_scores_has_no_verdict(runs):
    verdict = run_verdict(load(runs["log-mel-knn"]), None)
    assert verdict.grade == "Not yet evaluated"
    assert verdict.sentences[0] == "1 detector trained on 12 normal clips."
    assert verdict.facts[:2] == (("1", "machine"), ("12", "training clips"))


def test_a_training_with_scores_has_the_grade_of_its_score(runs, tmp_path):
    clips = [
        ClipScore(f"section_00_{domain}_test_{label}_{index:04d}_a.wav", 0.1 * index + 9 * (label == "anomaly"), 1)
        for domain in ("source", "target")
        for label in ("normal", "anomaly")
        for index in range(4)
    ]
    write_scores(tmp_path, "fan", "section_00", clips)
    verdict = run_verdict(load(runs["log-mel-knn"]), evaluate(tmp_path))
    assert verdict.grade == "Very good"
    assert "100.0" in verdict.sentences[0]
    assert any("100\N{NO-BREAK SPACE}% of normal clips raise an alarm" in sentence for sentence in verdict.sentences)


def test_versions_are_those_of_the_training(runs):
    detectors = load(runs["log-mel-knn"])
    assert dict(versions(detectors)) == detectors["fan"].summary.versions

"""Scores joined with the truth, and notes on clips that are left out."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from folders import touch
from scored import FAN, without_labels, write, write_dataset, write_evaluator_truth
from soundness.errors import ScoresError
from soundness.evaluation.labelled_scores import read_labelled
from soundness.evaluation.results import evaluate
from soundness.evaluation.score_files import ClipScore, write_scores


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


def test_recordings_of_one_name_in_two_folders_keep_their_own_labels(tmp_path):
    touch(tmp_path / "fan", "normal/n.wav", "test/d1/x.wav", "test/d2/x.wav", "test/d1/y.wav")
    touch(tmp_path / "data" / "fan", "normal/n.wav", "good/d1/x.wav", "faulty/d2/x.wav", "faulty/d1/y.wav")
    truth = tmp_path / "data" / "fan"
    names = ("faulty/d2/x.wav", "y.wav")
    write_scores(tmp_path / "s", "fan", "section_00", [ClipScore(name, float(i), 0) for i, name in enumerate(names)])
    (clips,) = read_labelled(tmp_path / "s", truth=truth).clips
    assert list(clips.is_anomaly) == [True, True]
    touch(tmp_path / "pump", "normal/n.wav", "test/good/x.wav", "test/bad/x.wav")
    names = ("good/x.wav", "bad/x.wav")
    write_scores(tmp_path / "p", "pump", "section_00", [ClipScore(name, float(i), 0) for i, name in enumerate(names)])
    (clips,) = read_labelled(tmp_path / "p", truth=tmp_path / "pump").clips
    assert list(clips.is_anomaly) == [False, True]

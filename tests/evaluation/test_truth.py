"""Labels and domains of clips from names, data sets and the official evaluator's files."""

from pathlib import Path

import pytest

from scored import FAN, write, write_evaluator_truth
from soundness.data.clips import Domain
from soundness.errors import DataError, ScoresError
from soundness.evaluation.results import evaluate
from soundness.evaluation.truth import ClipTruth, truth_from_dataset, truth_from_evaluator, truth_from_names


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


def test_clips_of_one_name_with_two_truths_are_known_by_their_paths(tmp_path: Path) -> None:
    for name in ("normal/0.wav", "normal/1.wav", "abnormal/0.wav", "abnormal/2.wav"):
        (tmp_path / "fan" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fan" / name).touch()
    truth = truth_from_dataset(tmp_path / "fan")["fan"]
    assert truth == {
        "normal/0": ClipTruth(False, None, is_test=False),
        "abnormal/0": ClipTruth(True, None),
        "1": ClipTruth(False, None, is_test=False),
        "2": ClipTruth(True, None),
    }


def test_a_test_clip_counts_as_such_though_a_training_clip_has_its_name(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "slider" / split).mkdir(parents=True)
        (tmp_path / "slider" / split / "normal_id_00_00000007.wav").touch()
    truth = truth_from_dataset(tmp_path)["slider"]
    assert truth == {"normal_id_00_00000007": ClipTruth(False, None, is_test=True)}


def test_a_truth_that_is_no_folder_of_labels_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "fan", FAN)
    with pytest.raises(DataError, match="nowhere"):
        evaluate(tmp_path, truth=tmp_path / "nowhere")

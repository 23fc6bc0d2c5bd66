"""The challenge's package: what is in it, that it reads back, and what is refused."""

import math
from pathlib import Path

import pytest
import yaml

import soundness
from soundness.benchmarking.submission_package import SubmissionMeta
from soundness.errors import OutputError, ScoresError, SettingsError
from soundness.evaluation.results import evaluate
from soundness.evaluation.score_files import ClipScore, read_scores, write_scores

AUTHOR = "Doe, Jane; jane@example.org; Example Institute; Department of Sound; Turin, Italy"
ROWS = {
    "section_00_source_test_normal_0000_x": (1.0, 0),
    "section_00_source_test_normal_0001_x": (3.0, 1),
    "section_00_source_test_anomaly_0000_x": (2.0, 0),
    "section_00_target_test_normal_0000_x": (4.0, 1),
    "section_00_target_test_normal_0001_x": (6.0, 1),
    "section_00_target_test_anomaly_0000_x": (5.0, 1),
}


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Scores of two machines of a development set."""
    for machine in ("fan", "valve"):
        rows = [ClipScore(f"{name}.wav", score / 3, decision) for name, (score, decision) in ROWS.items()]
        write_scores(tmp_path / "labelled", machine, "section_00", rows)
    return tmp_path / "labelled"


@pytest.fixture
def blind(tmp_path: Path) -> Path:
    """Scores of one machine whose labels are hidden."""
    rows = [ClipScore(f"section_00_{number:04}.wav", math.pi * number, number % 2) for number in range(4)]
    write_scores(tmp_path / "blind", "ToyPet", "section_00", rows)
    return tmp_path / "blind"


def submit(scores, out, *, run=None, seconds=10.0, development=None, overwrite=False, **fields):
    form = soundness.SubmissionForm(**{"team": "demo", **fields})
    options = {"run": run, "seconds": seconds, "development": development, "overwrite": overwrite}
    return soundness.submission(scores, out, form, **options)


def contents(folder: Path) -> list[tuple[object, ...]]:
    return [
        (one.machine_type, one.section, one.file_names, one.anomaly_scores.tolist(), one.decisions.tolist())
        for one in read_scores(folder)
        if one.decisions is not None
    ]


def test_the_package_holds_both_files_of_each_machine_and_the_meta_information(labelled: Path, tmp_path: Path) -> None:
    package = submit(labelled, tmp_path / "out")
    assert package.folder == tmp_path / "out" / "task2" / "demo_task2_1"
    assert sorted(path.name for path in package.folder.iterdir()) == [
        "anomaly_score_fan_section_00_test.csv",
        "anomaly_score_valve_section_00_test.csv",
        "decision_result_fan_section_00_test.csv",
        "decision_result_valve_section_00_test.csv",
        "demo_task2_1.meta.yaml",
    ]
    assert list(package.folder.parent.iterdir()) == [package.folder]
    first = (package.folder / "decision_result_fan_section_00_test.csv").read_text().splitlines()[0]
    assert first == "section_00_source_test_normal_0000_x.wav,0"
    assert contents(package.folder) == contents(labelled)
    assert evaluate(package.folder) == evaluate(labelled)
    assert package.n_clips == {"fan": 6, "valve": 6}


def test_the_meta_information_has_the_fields_of_2025(labelled: Path, tmp_path: Path) -> None:
    package = submit(labelled, tmp_path, team="Doe_UXY", index=3, name="Ear", authors=[AUTHOR])
    meta = yaml.safe_load((package.folder / "Doe_UXY_task2_3.meta.yaml").read_text())
    assert meta["submission"] == {
        "label": "Doe_UXY_task2_3",
        "name": "Ear",
        "abbreviation": "Ear",
        "authors": [
            {
                "lastname": "Doe",
                "firstname": "Jane",
                "email": "jane@example.org",
                "corresponding": True,
                "affiliation": {
                    "institution": "Example Institute",
                    "department": "Department of Sound",
                    "location": "Turin, Italy",
                },
            }
        ],
    }
    assert list(meta["system"]) == ["description", "complexity", "external_datasets", "source_code"]
    assert list(meta["system"]["description"]) == [
        "input_sampling_rate",
        "data_augmentation",
        "front_end",
        "acoustic_features",
        "embeddings",
        "machine_learning_method",
        "aggregation_method",
        "domain_adaptation_method",
        "domain_generalization_method",
        "ensemble_method_subsystem_count",
        "decision_making",
        "attribute_usage",
        "external_data_usage",
        "development_data_usage",
    ]
    assert meta["system"]["complexity"] == {"total_parameters": None, "MACS": None}
    # Source: three of four pairs. Target: one. pAUC: 9 / 19.
    figures = {"auc_source": 75.0, "auc_target": 25.0, "pauc": 47.37}
    overall = {"official_score": round(100 * 3 / (1 / 0.75 + 1 / 0.25 + 19 / 9), 2)}
    assert meta["results"] == {"development_dataset": {"fan": figures, "valve": figures, "overall": overall}}


def test_missing_parts_of_the_package_are_named(blind: Path, tmp_path: Path) -> None:
    package = submit(blind, tmp_path / "out")
    assert package.meta.results.development_dataset == {}
    notes = "\n".join(package.notes)
    for text in ("no authors", "no complexity", "(--development)", "technical report"):
        assert text in notes


def test_results_come_from_the_scores_of_the_development_set(blind: Path, labelled: Path, tmp_path: Path) -> None:
    package = submit(blind, tmp_path / "out", development=labelled)
    assert list(package.meta.results.development_dataset) == ["fan", "valve", "overall"]
    assert [one.machine_type for one in read_scores(package.folder)] == ["ToyPet"]
    with pytest.raises(ScoresError, match="blind: nothing to evaluate"):
        submit(blind, tmp_path / "out 2", development=blind)


def test_the_system_is_described_and_counted_from_its_run(runs, fan, tmp_path: Path) -> None:
    soundness.score(runs["conditional"], [fan], tmp_path / "scores")
    package = submit(tmp_path / "scores", tmp_path, run=runs["conditional"], seconds=2.0, abbreviation="cond")
    detector = soundness.load(runs["conditional"])["fan"]
    system = package.meta.system
    assert package.meta.submission.name == "conditional"
    assert system.complexity.total_parameters == detector.summary.n_parameters > 0
    assert system.complexity.MACS > 0
    longer = submit(tmp_path / "scores", tmp_path, index=2, run=runs["conditional"], seconds=4.0, abbreviation="cond")
    ratio = longer.meta.system.complexity.MACS / system.complexity.MACS
    assert ratio == pytest.approx(2, rel=0.1)
    assert system.description.machine_learning_method == "convolutional autoencoder, nearest-neighbors"
    assert system.description.input_sampling_rate == "16kHz"
    assert system.description.attribute_usage == "condition of the network"
    text = (package.folder / "demo_task2_1.meta.yaml").read_text()
    assert text.startswith("# total_parameters and MACS are counted: one detector, scoring a clip of 2 s\n")


def test_missing_decisions_are_refused_by_name(labelled: Path, tmp_path: Path) -> None:
    (labelled / "decision_result_valve_section_00_test.csv").unlink()
    with pytest.raises(ScoresError, match="no decisions of valve section_00; the challenge requires"):
        submit(labelled, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_scores_are_refused_by_name(labelled: Path, tmp_path: Path, runs) -> None:
    (labelled / "anomaly_score_valve_section_00_test.csv").unlink()
    with pytest.raises(ScoresError, match=r"decision_result_valve.*: decisions without the file of scores"):
        submit(labelled, tmp_path / "out")
    for file in labelled.iterdir():
        file.rename(labelled / file.name.replace("_fan_", "_valve_"))
    with pytest.raises(ScoresError, match="no scores of fan, which the run has a detector of"):
        submit(labelled, tmp_path / "out", run=runs["log-mel-knn"])


def test_scores_without_a_detector_in_the_run_are_named(labelled: Path, tmp_path: Path, runs) -> None:
    package = submit(labelled, tmp_path / "out", run=runs["log-mel-knn"], abbreviation="knn")
    assert any("has no detector of valve" in note for note in package.notes)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"index": 5}, "submission.label"),
        ({"team": "Jane Doe"}, "submission.label"),
        ({"abbreviation": "eleven char"}, "submission.abbreviation: .* at most 10 characters"),
        ({"name": ""}, "submission.name: .* at least 1 character"),
        ({"authors": ["Jane Doe; jane@example.org; Example"]}, "expected 'Lastname, Firstname; e-mail; institution"),
        ({"authors": ["Doe, Jane; Example"]}, "expected 'Lastname, Firstname"),
        ({"authors": ["Doe, Jane; example.org; Example"]}, "email: String should match pattern"),
        ({"authors": ["Doe, Jane; jane@example.org;"]}, "affiliation.institution"),
    ],
)
def test_a_bad_field_is_refused_by_name(labelled: Path, tmp_path: Path, fields, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        submit(labelled, tmp_path / "out", **fields)
    assert not (tmp_path / "out").exists()


def test_the_first_author_is_the_corresponding_one(labelled: Path, tmp_path: Path) -> None:
    second = "Roe, Richard; roe@example.org; Other Institute; ; Bern"
    package = submit(labelled, tmp_path / "out", authors=[AUTHOR, second])
    assert [author.corresponding for author in package.meta.submission.authors] == [True, False]
    affiliation = package.meta.submission.authors[1].affiliation
    assert (affiliation.department, affiliation.location) == (None, "Bern")


def test_an_earlier_package_stays_until_it_is_to_be_replaced(labelled: Path, tmp_path: Path, blind: Path) -> None:
    out = tmp_path / "out"
    folder = submit(labelled, out).folder
    (folder / "demo_task2_1.technical_report.pdf").write_bytes(b"report")
    with pytest.raises(OutputError, match="demo_task2_1: exists already; --overwrite replaces"):
        submit(blind, out)
    assert len(read_scores(folder)) == 2
    submit(blind, out, overwrite=True)
    assert [one.machine_type for one in read_scores(folder)] == ["ToyPet"]
    assert (folder / "demo_task2_1.technical_report.pdf").read_bytes() == b"report"


def test_a_file_in_place_of_the_folder_is_one_line(labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        submit(labelled, tmp_path / "out")


def test_names_and_authors_survive_yaml_whatever_they_hold(labelled: Path, tmp_path: Path) -> None:
    author = "O'Neill: #1, José; j@example.org; [Institut] für Schall & Co.; null; yes"
    package = submit(labelled, tmp_path, name="no: 'quoted' # name", abbreviation="1e5", authors=[author])
    text = (package.folder / "demo_task2_1.meta.yaml").read_text(encoding="utf-8")
    assert SubmissionMeta.model_validate(yaml.safe_load(text)) == package.meta
    assert package.meta.submission.authors[0].affiliation.department == "null"

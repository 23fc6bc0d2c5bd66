"""The metric of each year: which one is taken, and values worked out by hand and with scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from soundness.errors import ScoresError, SettingsError
from soundness.evaluation.results import evaluate, table_rows
from soundness.evaluation.score_files import ClipScore, write_scores
from soundness.evaluation.year_metrics import metric_of_name

# Two normal clips and an anomalous one of each domain; target scores are higher throughout.
SCORES = {
    "source_test_normal_0000": 1.0,
    "source_test_normal_0001": 3.0,
    "source_test_anomaly_0000": 2.0,
    "target_test_normal_0000": 4.0,
    "target_test_normal_0001": 5.0,
    "target_test_anomaly_0000": 6.0,
}


def write(folder: Path, rows: dict[str, float], *, machine: str = "fan", section: str = "section_00") -> Path:
    write_scores(folder, machine, section, [ClipScore(f"{name}.wav", score, 0) for name, score in rows.items()])
    return folder


def named(*, section: str = "section_00", attributes: str = "") -> dict[str, float]:
    return {f"{section}_{name}{attributes}": score for name, score in SCORES.items()}


@pytest.mark.parametrize(
    ("folder", "expected"), [("dcase2020_slider", "2020"), ("dcase2023_sample", "2022"), ("toycar", "2022")]
)
def test_real_test_clips_tell_their_year(real_data: Path, folder: str, expected: str) -> None:
    names = [path.stem for path in (real_data / folder).rglob("*.wav") if path.parent.name == "test"]
    assert {metric_of_name(name) for name in names} == {expected}


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("anomaly_id_02_00000001", "2020"),
        ("id_02_00000001", "2020"),
        ("section_01_source_test_normal_0003", "2021"),
        ("section_03_target_test_0003", "2021"),
        ("section_01_source_test_normal_0003_vel_6", "2022"),
        ("section_00_source_test_normal_0003_noAttribute", "2022"),
        ("section_00_source_test_normal_0003_", "2022"),
        ("section_00_target_anomaly_0059_weight25_BckgE", "2022"),
        ("section_00_0003", "2022"),
        ("section_04_test_0003", "2022"),
        ("section_00_source_train_normal_0003", None),
        ("section_00_noise_supplemental_normal_0000", None),
        ("section_00_test_normal_0003", None),
        ("pump 7", None),
    ],
)
def test_a_name_tells_its_year(stem: str, expected: str | None) -> None:
    assert metric_of_name(stem) == expected


def test_in_2021_a_domain_has_its_own_anomalous_clips_alone(tmp_path: Path) -> None:
    evaluation = evaluate(write(tmp_path, named()))
    figures = evaluation.machines[0].figures
    # Source: 2 against 1 and 3. Target: 6 against 4 and 5. With the anomalous clips of both: 0.75 and 0.5.
    assert (evaluation.metric, figures.auc_source, figures.auc_target) == ("2021", 0.5, 1.0)
    # At a false-positive rate below 0.1 nothing of source is found: 0.5 * (1 - 0.005 / 0.095) = 9 / 19.
    assert figures.pauc_source == pytest.approx(9 / 19)
    assert (figures.pauc_target, figures.pauc) == (1.0, None)
    assert evaluation.official_score == pytest.approx(4 / (2 + 1 + 19 / 9 + 1))
    assert "as in DCASE 2021" in evaluation.definition
    assert any("--metric 2022 selects that of later years" in note for note in evaluation.notes)
    assert table_rows(evaluation)[0][2:6] == ("AUC source", "AUC target", "pAUC source", "pAUC target")


def test_the_official_score_of_2021_is_the_harmonic_mean_over_sections_and_domains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    expected = []
    for machine, section in (("fan", "section_00"), ("fan", "section_01"), ("pump", "section_00")):
        rows = {
            f"{section}_{domain}_test_{label}_{number:04}": float(np.round(rng.normal(label == "anomaly"), 1))
            for domain in ("source", "target")
            for label in ("normal", "anomaly")
            for number in range(30)
        }
        write(tmp_path, rows, machine=machine, section=section)
        for domain in ("source", "target"):
            own = {name: score for name, score in rows.items() if domain in name}
            labels = ["anomaly" in name for name in own]
            expected += [roc_auc_score(labels, list(own.values()), max_fpr=fpr) for fpr in (None, 0.1)]
    evaluation = evaluate(tmp_path)
    assert evaluation.official_score == pytest.approx(12 / np.sum(1 / np.array(expected)))
    fan, pump = evaluation.machine_means
    assert (fan.machine_type, fan.n_sections, pump.n_sections) == ("fan", 2, 1)
    assert fan.score == pytest.approx(8 / np.sum(1 / np.array(expected[:8])))
    assert fan.figures.auc_source == pytest.approx(2 / (1 / expected[0] + 1 / expected[4]))
    assert table_rows(evaluation)[3][:2] == ("fan", "mean")


def test_in_2021_a_domain_without_anomalous_clips_is_named(tmp_path: Path) -> None:
    evaluation = evaluate(
        write(tmp_path, {name: x for name, x in named().items() if "target_test_anomaly" not in name})
    )
    assert (evaluation.machines[0].figures.auc_source, evaluation.official_score) == (0.5, None)
    assert "fan section_00: no anomalous clips of the target domain, so no AUC of it" in evaluation.notes


def test_a_metric_can_be_forced(tmp_path: Path) -> None:
    write(tmp_path, named())
    later = evaluate(tmp_path, metric="2022")
    assert (later.machines[0].figures.auc_source, later.machines[0].figures.auc_target) == (0.75, 0.5)
    assert (later.metric, later.notes) == ("2022", ())
    assert evaluate(tmp_path, metric="2025") == later
    ids = evaluate(tmp_path, metric="2020")
    # 2 beats one of four, 6 all: five of eight.
    assert (ids.machines[0].figures.auc, ids.machines[0].figures.auc_source) == (0.625, None)
    assert (ids.official_score, ids.metric) == (None, "2020")
    write(tmp_path / "later", named(attributes="_x"))
    assert evaluate(tmp_path / "later", metric="2021").machines == evaluate(tmp_path).machines


@pytest.mark.parametrize("year", ["2019", "21", "last", ""])
def test_a_metric_of_no_year_is_refused(tmp_path: Path, year: str) -> None:
    with pytest.raises(SettingsError, match=f"no metric '{year}'; there are 2020, 2021, and 2022"):
        evaluate(write(tmp_path, named()), metric=year)


@pytest.mark.parametrize("year", ["2021", "2022"])
def test_a_metric_by_domains_needs_domains(tmp_path: Path, year: str) -> None:
    rows = {"normal_id_00_00000000": 0.0, "anomaly_id_00_00000000": 1.0}
    with pytest.raises(ScoresError, match=f"metric {year} needs clips of a source and a target domain"):
        evaluate(write(tmp_path, rows, section="id_00"), metric=year)


@pytest.mark.parametrize(
    ("folders", "attributes", "expected"),
    [
        (("source_test", "target_test"), "_x", "2021"),
        (("source_test", "target_test"), "", "2021"),
        (("test", "test"), "", "2022"),
        (("test", "test"), "_x", "2022"),
    ],
)
def test_the_folders_of_a_data_set_tell_the_year_before_the_names_do(
    tmp_path: Path, folders: tuple[str, str], attributes: str, expected: str
) -> None:
    rows = named(attributes=attributes)
    for name in rows:
        path = tmp_path / "data" / "fan" / folders["target" in name] / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    evaluation = evaluate(write(tmp_path / "scores", rows), truth=tmp_path / "data")
    assert evaluation.metric == expected
    assert len(evaluation.notes) == (1 if expected == "2021" else 0)


@pytest.mark.parametrize(
    ("pattern", "expected", "note"),
    [
        ("section_00_{:04}", "2022", None),
        ("section_00_{domain}_test_{:04}", "2021", "are those of 2021"),
        ("recording {:04}", "2022", "the names fit neither; 2022 is used, --metric 2021 selects the other"),
    ],
)
def test_blind_names_tell_the_year_or_it_is_said_that_they_do_not(
    tmp_path: Path, pattern: str, expected: str, note: str | None
) -> None:
    blind = {name: pattern.format(number, domain=name.partition("_")[0]) for number, name in enumerate(SCORES)}
    for kind, word in {"data": "anomaly", "domain": "target"}.items():
        path = tmp_path / "truth" / f"ground_truth_{kind}" / "ground_truth_fan_section_00_test.csv"
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{new}.wav,{int(word in old)}\n" for old, new in blind.items()))
    scores = write(tmp_path / "scores", {blind[name]: score for name, score in SCORES.items()})
    evaluation = evaluate(scores, truth=tmp_path / "truth")
    assert evaluation.metric == expected
    assert (note is None and evaluation.notes == ()) or (note is not None and note in evaluation.notes[0])


def test_the_truth_of_the_evaluator_of_2021_has_its_domains_in_the_names_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "ground_truth_data").mkdir()
    for domain in ("source", "target"):
        own = {name: score for name, score in SCORES.items() if name.startswith(domain)}
        rows = {f"{domain} {number}.wav": name for number, name in enumerate(own)}
        path = tmp_path / "ground_truth_data" / f"ground_truth_fan_section_03_{domain}_test.csv"
        path.write_text("".join(f"{new},{int('anomaly' in name)}\n" for new, name in rows.items()))
        path = tmp_path / "scores" / f"anomaly_score_fan_section_03_{domain}_test.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{new},{own[name]}\n" for new, name in rows.items()))
    evaluation = evaluate(tmp_path / "scores", truth=tmp_path)
    figures = evaluation.machines[0].figures
    assert (evaluation.metric, figures.auc_source, figures.auc_target) == ("2021", 0.5, 1.0)
    assert evaluation.machines[0].n_normal_target == 2


def test_names_of_both_years_are_said_to_be_so(tmp_path: Path) -> None:
    write(tmp_path, named())
    write(tmp_path, named(attributes="_x"), machine="valve")
    evaluation = evaluate(tmp_path)
    assert evaluation.metric == "2022"
    assert any("fit both" in note for note in evaluation.notes)


def test_the_score_of_2020_is_the_mean_over_machines_of_their_ids(tmp_path: Path) -> None:
    for machine, section, anomalous in (("fan", "id_00", 5.0), ("fan", "id_02", 1.5), ("pump", "id_00", 0.0)):
        rows = {f"normal_{section}_00000000": 1.0, f"normal_{section}_00000001": 2.0}
        write(tmp_path, rows | {f"anomaly_{section}_00000000": anomalous}, machine=machine, section=section)
    evaluation = evaluate(tmp_path)
    fan, pump = evaluation.machine_means
    assert (fan.figures.auc, pump.figures.auc) == (0.75, 0.0)
    fan_score, pump_score = ((1 + 1) / 2 + (0.5 + 9 / 19) / 2) / 2, (0 + 9 / 19) / 2
    assert (fan.score, pump.score) == (pytest.approx(fan_score), pytest.approx(pump_score))
    assert evaluation.score == pytest.approx((fan_score + pump_score) / 2)
    assert (evaluation.metric, evaluation.official_score) == ("2020", None)

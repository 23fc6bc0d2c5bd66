"""The challenge's score files, written and read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundness.errors import OutputError, ScoresError
from soundness.evaluation.score_files import ClipScore, ScoreWriter, read_binary, read_scores, write_scores

SCORE_FILE = "anomaly_score_fan_section_00_test.csv"
DECISION_FILE = "decision_result_fan_section_00_test.csv"


def folder_with(folder: Path, **texts: str) -> Path:
    """A folder of files for the fan, each given as ``score=`` or ``decision=``."""
    names = {"score": SCORE_FILE, "decision": DECISION_FILE}
    for kind, text in texts.items():
        (folder / names[kind]).write_text(text, encoding="utf-8")
    return folder


def test_the_files_have_the_names_and_rows_of_the_challenge(tmp_path: Path) -> None:
    write_scores(tmp_path, "fan", "section_00", [ClipScore("b.wav", 0.1, 1), ClipScore("a.wav", -2.0, 0)])
    assert sorted(path.name for path in tmp_path.iterdir()) == [SCORE_FILE, DECISION_FILE]
    assert (tmp_path / SCORE_FILE).read_bytes() == b"b.wav,0.1\na.wav,-2.0\n"
    assert (tmp_path / DECISION_FILE).read_bytes() == b"b.wav,1\na.wav,0\n"


def test_numbers_of_numpy_are_written_as_plain_numbers(tmp_path: Path) -> None:
    score = ClipScore("a.wav", np.float64(0.25), np.int64(1))
    write_scores(tmp_path, "fan", "section_00", [score, ClipScore("b.wav", np.float32(0.5), np.bool_(True))])
    assert (tmp_path / SCORE_FILE).read_text() == "a.wav,0.25\nb.wav,0.5\n"
    assert (tmp_path / DECISION_FILE).read_text() == "a.wav,1\nb.wav,1\n"


@settings(max_examples=40, deadline=None)
@given(
    rows=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda name: not name.startswith("\ufeff")),
        st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0, 1])),
        min_size=1,
    )
)
def test_what_is_written_is_read_back_to_the_last_bit(
    rows: dict[str, tuple[float, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("scores")
    write_scores(folder, "fan", "section_00", (ClipScore(name, *row) for name, row in rows.items()))
    (scores,) = read_scores(folder)
    assert scores.file_names == tuple(rows)
    assert scores.anomaly_scores.tobytes() == np.array([row[0] for row in rows.values()]).tobytes()
    assert scores.decisions is not None
    assert scores.decisions.tolist() == [row[1] for row in rows.values()]


def test_a_file_name_that_is_no_utf_8_passes_unchanged(tmp_path: Path) -> None:
    name = b"l\xfcfter.wav".decode("utf-8", errors="surrogateescape")
    write_scores(tmp_path, "fan", "section_00", [ClipScore(name, 1.0, 0)])
    assert read_scores(tmp_path)[0].file_names == (name,)


@pytest.mark.parametrize("machine_type", ["fan", "Toy_Car_2", "a_section_01", "anomaly_score"])
@pytest.mark.parametrize("section", ["section_00", "section_12", "id_06"])
def test_a_machine_type_may_hold_underscores(machine_type: str, section: str, tmp_path: Path) -> None:
    write_scores(tmp_path, machine_type, section, [ClipScore("a.wav", 1.0, 0)])
    (scores,) = read_scores(tmp_path)
    assert (scores.machine_type, scores.section) == (machine_type, section)


def test_machines_are_read_in_order_and_other_files_ignored(tmp_path: Path) -> None:
    for machine_type, section in [("valve", "section_00"), ("fan", "section_01"), ("fan", "section_00")]:
        write_scores(tmp_path, machine_type, section, [ClipScore("a.wav", 1.0, 0)])
    (tmp_path / "report.html").touch()
    (tmp_path / "failed.csv").write_text("path,message\n")
    keys = [(scores.machine_type, scores.section) for scores in read_scores(tmp_path)]
    assert keys == [("fan", "section_00"), ("fan", "section_01"), ("valve", "section_00")]


def test_decisions_follow_the_order_of_the_scores(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, score="a.wav,1\nb.wav,2\n", decision="b.wav,1.0\na.wav,0\n")
    decisions = read_scores(folder)[0].decisions
    assert decisions is not None
    assert decisions.tolist() == [0, 1]
    assert decisions.dtype == np.int64


def test_scores_without_decisions_have_none(tmp_path: Path) -> None:
    assert read_scores(folder_with(tmp_path, score="a.wav,1e-3\n"))[0].decisions is None


def test_a_byte_order_mark_blank_lines_and_other_line_ends_do_no_harm(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, score="\ufeffa.wav, 1\r\n\r\nb.wav,2\r\n\r\n")
    (scores,) = read_scores(folder)
    assert scores.file_names == ("a.wav", "b.wav")
    assert scores.anomaly_scores.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.wav,1\nb.wav\n", r"fan_section_00_test\.csv:2: expected .* a finite number, got 1 columns"),
        ("a.wav,1,2\n", r":1: expected a file name and a finite number, got 3 columns"),
        ("file_name,score\n", r":1: expected a finite number for file_name, got 'score'"),
        ("a.wav,1\n\nb.wav,nan\n", r":3: expected a finite number for b\.wav, got 'nan'"),
        ("a.wav,-inf\n", r":1: expected a finite number for a\.wav, got '-inf'"),
        ("a.wav,\n", r":1: expected a finite number for a\.wav, got ''"),
        ("a.wav,1\nb.wav,1\na.wav,2\n", r":3: expected each file name once, got a\.wav again"),
        ("", r"fan_section_00_test\.csv: expected a row for each clip, but the file is empty"),
        ("\n\n", r"the file is empty"),
    ],
)
def test_a_bad_score_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match=message) as caught:
        read_scores(folder_with(tmp_path, score=text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["2", "0.5", "yes", "nan", "-1"])
def test_a_decision_other_than_0_and_1_is_refused(value: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, score="a.wav,1\n", decision=f"a.wav,{value}\n")
    with pytest.raises(ScoresError, match=rf"decision_result.*:1: expected 0 or 1 for a\.wav, got '{value}'"):
        read_scores(folder)


@pytest.mark.parametrize(
    ("decisions", "lacking"), [("a.wav,1\n", DECISION_FILE), ("a.wav,1\nb.wav,0\nc.wav,0\n", SCORE_FILE)]
)
def test_decisions_must_be_of_the_same_clips(decisions: str, lacking: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, score="a.wav,1\nb.wav,2\n", decision=decisions)
    with pytest.raises(ScoresError, match=rf"{lacking}: expected the same clips .* but [bc]\.wav is missing"):
        read_scores(folder)


def test_decisions_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match="decisions without the file of scores"):
        read_scores(folder_with(tmp_path, decision="a.wav,1\n"))


def test_a_score_file_with_another_kind_of_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "anomaly_score_fan.csv").write_text("a.wav,1\n")
    with pytest.raises(ScoresError, match=r"anomaly_score_fan\.csv: expected a name like .*<machine>_<section_NN"):
        read_scores(tmp_path)


@pytest.mark.parametrize(
    ("names", "section"),
    [
        (("fan_id_02.csv",), "id_02"),  # 2020
        (("fan_section_03_source_test.csv", "fan_section_03_target_test.csv"), "section_03"),  # 2021
        (("fan_section_03_source.csv", "fan_section_03_target.csv"), "section_03"),
        (("fan_section_03.csv",), "section_03"),  # 2022
        (("fan_section_00_test.csv",), "section_00"),
    ],
)
def test_the_file_names_of_every_year_are_read(tmp_path: Path, names: tuple[str, ...], section: str) -> None:
    for number, name in enumerate(names):
        (tmp_path / f"anomaly_score_{name}").write_text(f"{number}.wav,{number}.5\n")
        (tmp_path / f"decision_result_{name}").write_text(f"{number}.wav,1\n")
    (scores,) = read_scores(tmp_path)
    assert (scores.machine_type, scores.section) == ("fan", section)
    assert scores.file_names == ("0.wav", "1.wav")[: len(names)]
    assert scores.anomaly_scores.tolist() == [0.5, 1.5][: len(names)]
    assert scores.decisions is not None
    assert scores.decisions.tolist() == [1] * len(names)


@pytest.mark.parametrize("other", ["fan_section_00.csv", "fan_section_00_source_test.csv"])
def test_two_files_of_one_section_are_refused(tmp_path: Path, other: str) -> None:
    for name in ("fan_section_00_test.csv", other):
        (tmp_path / f"anomaly_score_{name}").write_text("a.wav,1\n")
    with pytest.raises(ScoresError, match="expected one file of fan section_00, beside"):
        read_scores(tmp_path)


def test_a_clip_in_the_files_of_both_domains_is_refused(tmp_path: Path) -> None:
    for domain in ("source", "target"):
        (tmp_path / f"anomaly_score_fan_section_00_{domain}_test.csv").write_text("a.wav,1\n")
    with pytest.raises(ScoresError, match=r"target_test\.csv: expected each file name once, got a\.wav again"):
        read_scores(tmp_path)


def test_a_folder_without_score_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match="no score files; expected anomaly_score_<machine>"):
        read_scores(tmp_path)
    with pytest.raises(ScoresError, match="no such folder"):
        read_scores(tmp_path / "nowhere")


def test_the_0_and_1_of_clips_are_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("a.wav,0\nb.wav,1\n")
    assert read_binary(tmp_path / "truth.csv") == {"a.wav": 0, "b.wav": 1}
    with pytest.raises(ScoresError, match=r"nowhere\.csv: cannot be read"):
        read_binary(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_never_written(value: float) -> None:
    with pytest.raises(ScoresError, match=r"a\.wav: an anomaly score must be finite"):
        ClipScore("a.wav", value, 0)


def test_a_decision_is_0_or_1() -> None:
    with pytest.raises(ScoresError, match=r"a\.wav: a decision must be 0 or 1, got 2"):
        ClipScore("a.wav", 0.0, 2)


def test_a_section_is_a_token_of_the_challenge(tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match="fan: expected a section such as section_00 or id_00, got '00'"):
        write_scores(tmp_path, "fan", "00", [])
    for machine_type in ("", "a/b"):
        with pytest.raises(ScoresError, match="must be usable within a file name"):
            write_scores(tmp_path, machine_type, "section_00", [])


def test_a_writer_takes_clips_of_several_machines_in_any_order(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "scores"
    with ScoreWriter(folder) as writer:
        writer.add("fan", "section_00", ClipScore("b.wav", 1.0, 0))
        writer.add("valve", "section_00", ClipScore("x.wav", 3.0, 1))
        writer.add("fan", "section_00", ClipScore("a.wav", 2.0, 1))
    fan, valve = read_scores(folder)
    assert fan.file_names == ("b.wav", "a.wav")
    assert fan.anomaly_scores.tolist() == [1.0, 2.0]
    assert valve.file_names == ("x.wav",)
    assert not list(folder.glob("*.partial"))
    assert not (folder / "failed.csv").exists()


def test_failures_are_listed_under_a_header(tmp_path: Path) -> None:
    with ScoreWriter(tmp_path) as writer:
        writer.add_failure(Path("in/a,b.wav"), "0 samples; expected 1,024")
        writer.add_failure(Path("in/c.wav"), "unreadable")
    expected = 'path,message\n"in/a,b.wav","0 samples; expected 1,024"\nin/c.wav,unreadable\n'
    assert (tmp_path / "failed.csv").read_text() == expected


def test_a_run_without_failures_removes_the_failures_of_an_earlier_one(tmp_path: Path) -> None:
    with ScoreWriter(tmp_path) as writer:
        writer.add_failure(Path("a.wav"), "unreadable")
    with ScoreWriter(tmp_path) as writer:
        writer.add("fan", "section_00", ClipScore("a.wav", 1.0, 0))
    assert not (tmp_path / "failed.csv").exists()


def interrupted_run(folder: Path) -> None:
    with ScoreWriter(folder) as writer:
        writer.add("fan", "section_00", ClipScore("b.wav", 2.0, 1))
        writer.add_failure(Path("c.wav"), "unreadable")
        raise KeyboardInterrupt


def test_a_run_that_dies_keeps_its_rows_and_the_earlier_files(tmp_path: Path) -> None:
    write_scores(tmp_path, "fan", "section_00", [ClipScore("a.wav", 1.0, 0)])
    with pytest.raises(KeyboardInterrupt):
        interrupted_run(tmp_path)
    assert (tmp_path / f"{SCORE_FILE}.partial").read_text() == "b.wav,2.0\n"
    assert (tmp_path / f"{DECISION_FILE}.partial").read_text() == "b.wav,1\n"
    assert (tmp_path / "failed.csv.partial").read_text() == "path,message\nc.wav,unreadable\n"
    assert read_scores(tmp_path)[0].file_names == ("a.wav",)


def test_unfinished_scores_are_not_taken_for_scores(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_run(tmp_path)
    with pytest.raises(ScoresError, match=r"found 1 unfinished \(\*\.partial\)"):
        read_scores(tmp_path)


def test_each_row_is_on_disk_before_the_next_clip(tmp_path: Path) -> None:
    with ScoreWriter(tmp_path) as writer:
        writer.add("fan", "section_00", ClipScore("a.wav", 1.0, 0))
        assert (tmp_path / f"{SCORE_FILE}.partial").read_text() == "a.wav,1.0\n"
        assert not (tmp_path / SCORE_FILE).exists()


def test_a_run_starts_its_files_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_run(tmp_path)
    write_scores(tmp_path, "fan", "section_00", [ClipScore("a.wav", 1.0, 0)])
    assert read_scores(tmp_path)[0].file_names == ("a.wav",)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file: cannot be written"):
        ScoreWriter(tmp_path / "file")
    with pytest.raises(OutputError, match=r"anomaly_score|decision_result"):
        write_scores(tmp_path / "file", "fan", "section_00", [])


BASELINE_NAMES = (
    "anomaly_score_DCASE2025T2fan_section_00_test_seed13711_id(0_)_Eval.csv",
    "anomaly_score_DCASE2023T2fan_section_00_test_seed13711_id(0_).csv",
    "anomaly_score_fan_section_00_test.csv",
    "anomaly_score_fan_section_00.csv",
)


@pytest.mark.parametrize("name", BASELINE_NAMES)
def test_files_of_the_challenges_own_baseline_are_read(tmp_path, name):
    (tmp_path / name).write_text("a.wav,0.5\nb.wav,1.5\n")
    (tmp_path / name.replace("anomaly_score", "decision_result")).write_text("a.wav,0\nb.wav,1\n")
    (scores,) = read_scores(tmp_path)
    assert (scores.machine_type, scores.section, scores.file_names) == ("fan", "section_00", ("a.wav", "b.wav"))
    assert list(scores.decisions) == [0, 1]


def test_two_seeds_of_the_baseline_are_refused_by_name(tmp_path):
    for seed in (1, 2):
        (tmp_path / f"anomaly_score_DCASE2025T2fan_section_00_test_seed{seed}_id(0_).csv").write_text("a.wav,0.5\n")
    with pytest.raises(ScoresError, match=r"seed2.*: expected one file of fan section_00, beside .*seed1"):
        read_scores(tmp_path)


def test_decimal_commas_are_understood_and_a_line_that_is_not_is_named(tmp_path):
    path = tmp_path / "anomaly_score_fan_section_00_test.csv"
    path.write_text("a.wav;0,716\nb.wav;-1,5\n")
    assert list(read_scores(tmp_path)[0].anomaly_scores) == [0.716, -1.5]
    for text, line in (("a.wav;0,716\nb.wav;1.234,5\n", 2), ("a.wav,0,716\n", 1), ("name;score\na.wav;1\n", 1)):
        path.write_text(text)
        with pytest.raises(ScoresError, match=rf"_test\.csv:{line}: expected"):
            read_scores(tmp_path)

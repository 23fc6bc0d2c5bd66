"""Commands that train, score and evaluate."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from command_line import refusal, soundness
from permissions import unprivileged
from recordings import BROKEN, RATE, write, write_broken
from soundness.files.sealed import FORMATS
from soundness.settings.loading import system_descriptions

TINY = ("--set", "training.max_steps=4", "--set", "training.steps_per_epoch=2", "--set", "autoencoder.channels=[2, 2]")


def test_a_folder_of_recordings_becomes_scores_and_figures(tmp_path: Path, pump: Path, run: Path) -> None:
    write(tmp_path / "more" / "section_00_source_test_normal_0000_x.wav", seed=50)
    for name in ("section_00_target_test_normal_0001_x.wav", "section_00_target_test_anomaly_0000_x.wav"):
        shutil.copy(pump / "abnormal" / "bad_0.wav", tmp_path / "more" / name)
    result = soundness("score", run, tmp_path / "more", "--out", tmp_path / "scores")
    assert result.exit_code == 0
    assert "3 recordings scored" in result.stdout
    rows = (tmp_path / "scores" / "anomaly_score_pump_section_00_test.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == sorted(path.name for path in (tmp_path / "more").iterdir())
    evaluated = soundness("evaluate", tmp_path / "scores", "--json", tmp_path / "e.json")
    assert evaluated.exit_code == 0
    figures = json.loads((tmp_path / "e.json").read_text())["machines"][0]["figures"]
    assert figures["auc_target"] == 0.5  # the target's normal clip and the anomaly are the same recording
    assert figures["auc_source"] in (0.0, 1.0)


def test_the_most_anomalous_recordings_are_named_with_their_scores(tmp_path: Path, pump: Path, run: Path) -> None:
    for index, level in enumerate((0.2, 0.4, 0.8)):
        path = tmp_path / "loud" / f"{index}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.random.default_rng(index).uniform(-level, level, size=RATE), RATE)
    result = soundness("score", run, tmp_path / "loud", pump / "normal" / "3.wav", "--out", tmp_path / "scores")
    assert "pump: 3 ANOMALOUS, 1 CANNOT TELL, of 4 recordings" in result.stdout
    named = [line for line in result.stdout.splitlines() if "loud/" in line]
    assert [line.split("/")[-1][0] for line in named] == ["2", "1", "0"]


def test_a_single_recording_can_be_scored(tmp_path: Path, run: Path) -> None:
    out = tmp_path / "one"
    path = write(tmp_path / "0.wav")
    assert soundness("score", run / "pump.soundness", path, "--out", out).exit_code == 0
    (row,) = (out / "anomaly_score_pump_section_00_test.csv").read_text().splitlines()
    name, value = row.split(",")
    assert name == "0.wav"
    assert np.isfinite(float(value))


def test_training_clips_give_no_all_clear(tmp_path: Path, pump: Path, run: Path) -> None:
    result = soundness("score", run, pump / "normal")
    assert result.exit_code == 2
    assert "of these are clips that the detector was trained on: they look more normal than they are" in result.stderr
    assert "NORMAL " not in result.stdout
    fresh = write(tmp_path / "fresh.wav")
    assert soundness("score", run, fresh, pump / "normal" / "0.wav").exit_code == 0


def test_a_pattern_and_a_time_choose_recordings_of_a_folder(tmp_path: Path, run: Path) -> None:
    for name in ("a_L.wav", "a_R.wav", "day1/b_L.wav"):
        write(tmp_path / "in" / name)
    assert "2 recordings scored" in soundness("score", run, tmp_path / "in", "--pattern", "*_L.wav").stdout
    assert "3 recordings scored" in soundness("score", run, tmp_path / "in", "--since", "1h").stdout
    assert "no recordings since" in refusal("score", run, tmp_path / "in", "--since", "2200-01-01")
    assert "is no date or time" in refusal("score", run, tmp_path / "in", "--since", "soon")


def test_a_folder_without_permission_is_refused_by_name(tmp_path: Path, pump: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if Path(tempfile.gettempdir()) in folder.parents:
            folder.chmod(0o755)
    soundness("train", pump, "--out", tmp_path / "before")  # loads all modules while their files may be read
    (pump / "normal").chmod(0)
    try:
        with unprivileged(pump / "normal"):
            result = soundness("train", pump, "--out", tmp_path / "run")
    finally:
        (pump / "normal").chmod(0o755)
    assert result.exit_code == 2
    assert f"{pump / 'normal'}: no permission to list this folder; what is in it is not read" in result.stderr
    assert "0 training clip(s) of pump" in result.stderr


@pytest.mark.parametrize("kind", BROKEN)
def test_training_refuses_a_broken_recording_by_name(tmp_path: Path, pump: Path, kind: str) -> None:
    path = write_broken(pump / "normal" / "broken.wav", kind)
    command = ("train", pump, "--out", tmp_path / "run", "--system", "log-mel-knn", "-q")
    assert str(path) in refusal(*command)
    path.unlink()
    assert soundness(*command).exit_code == 0  # the refused run is not in the way


def test_scoring_goes_on_after_broken_recordings(tmp_path: Path, run: Path) -> None:
    folder, out = tmp_path / "clips", tmp_path / "scores"
    write(folder / "good_1.wav", seed=91)
    broken = {write_broken(folder / f"broken_{kind}.wav", kind) for kind in BROKEN}
    write(folder / "good_2.wav", seed=92)
    result = soundness("score", run, folder, "--out", out)
    assert result.exit_code == 1
    rows = (out / "anomaly_score_pump_section_00_test.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["good_1.wav", "good_2.wav"]
    failed = (out / "failed.csv").read_text()
    for path in broken:
        assert str(path) in failed
        assert str(path) in result.stderr


def test_nothing_that_can_be_scored_is_status_two(tmp_path: Path, run: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_broken(folder / "only.wav", "text")
    assert soundness("score", run, folder, "--out", tmp_path / "scores").exit_code == 2


def test_a_missing_recording_is_a_row_of_the_failed(tmp_path: Path, run: Path) -> None:
    good = write(tmp_path / "clips" / "good.wav")
    missing = tmp_path / "clips" / "missing.wav"
    result = soundness("score", run, good, missing, "--out", tmp_path / "scores")
    assert result.exit_code == 1
    assert str(missing) in (tmp_path / "scores" / "failed.csv").read_text()


def test_a_data_set_without_test_clips_gets_no_all_clear(tmp_path: Path, pump: Path, run: Path) -> None:
    shutil.rmtree(pump / "abnormal")
    line = refusal("score", run, pump, "--out", tmp_path / "scores")
    assert "pump: has no test clips, and its training clips, which a detector knows, are not scored" in line
    assert not (tmp_path / "scores").exists()


def test_earlier_scores_stay_until_new_ones_replace_them(tmp_path: Path, run: Path) -> None:
    out = tmp_path / "scores"
    path = write(tmp_path / "clips" / "good.wav")
    assert soundness("score", run, path, "--out", out).exit_code == 0
    stale = out / "anomaly_score_other_section_00_test.csv"
    stale.write_text("x.wav,1.0\n")
    kept = out / "notes.txt"
    kept.write_text("mine")
    before = (out / "anomaly_score_pump_section_00_test.csv").read_text()
    refusal("score", run, tmp_path / "nothing", "--out", out, "--overwrite")
    assert (out / "anomaly_score_pump_section_00_test.csv").read_text() == before
    assert soundness("score", run, path, "--out", out, "--overwrite").exit_code == 0
    assert (out / "anomaly_score_pump_section_00_test.csv").read_text() == before
    assert not stale.exists()
    assert kept.exists()


def test_digital_silence_is_scored_with_a_warning(tmp_path: Path, run: Path) -> None:
    path = tmp_path / "clips" / "silent.wav"
    path.parent.mkdir()
    soundfile.write(path, np.zeros(2 * RATE), RATE)
    result = soundness("score", run, path.parent, "--out", tmp_path / "scores")
    assert result.exit_code == 0
    assert f"{path}: digital silence" in result.stderr
    assert result.stdout.splitlines()[-1].startswith("1 recordings scored, 0 of them ANOMALOUS, 1 CANNOT TELL; ")


def test_a_clip_shorter_than_a_segment_is_scored_with_a_warning(tmp_path: Path, pump: Path) -> None:
    assert soundness("train", pump, "--out", tmp_path / "run", "--system", "conditional", *TINY, "-q").exit_code == 0
    path = write(tmp_path / "clips" / "brief.wav", seconds=0.15)
    result = soundness("score", tmp_path / "run", path, "--out", tmp_path / "scores")
    assert result.exit_code == 0
    assert f"{path}: 5 frames, shorter than one segment of 8" in result.stderr


def test_a_slow_recording_is_refused_by_name(tmp_path: Path, run: Path) -> None:
    path = write(tmp_path / "clips" / "slow.wav", rate=8_000)
    result = soundness("score", run, path, "--out", tmp_path / "scores")
    assert result.exit_code == 2
    assert str(path) in result.stderr
    assert "8000" in result.stderr


def test_two_clips_of_the_same_name_are_two_recordings(tmp_path: Path, pump: Path, run: Path) -> None:
    write(tmp_path / "a" / "x.wav")
    write(tmp_path / "b" / "x.wav", seed=5)
    loose = write(tmp_path / "loose" / "bad_0.wav", seed=7)
    result = soundness("score", run, tmp_path / "a", tmp_path / "b", loose, pump, "--out", tmp_path / "scores")
    assert result.exit_code == 0, result.stderr
    with (tmp_path / "scores" / "anomaly_score_pump_section_00_test.csv").open() as file:
        names = [line.partition(",")[0] for line in file]
    assert names[:2] == [str(tmp_path / "a" / "x.wav"), str(tmp_path / "b" / "x.wav")]
    assert {"bad_0.wav", "abnormal/bad_0.wav"} <= set(names)
    assert len(set(names)) == len(names)


def test_two_training_clips_that_differ_in_their_suffix_alone_are_refused(tmp_path: Path, pump: Path) -> None:
    soundfile.write(pump / "normal" / "0.flac", np.zeros(RATE), RATE)
    line = refusal("train", pump, "--out", tmp_path / "other", "--system", "log-mel-knn")
    assert "0.flac" in line
    assert "0.wav" in line


def test_training_on_anomalous_clips_is_refused(tmp_path: Path, pump: Path) -> None:
    line = refusal("train", pump / "abnormal", "--out", tmp_path / "run", "--system", "log-mel-knn")
    assert "bad_0.wav" in line
    assert "anomalous" in line


def test_fewer_than_three_training_clips_are_refused(tmp_path: Path) -> None:
    for index in range(2):
        write(tmp_path / "few" / f"{index}.wav", seed=index)
    line = refusal("train", tmp_path / "few", "--out", tmp_path / "run", "--system", "log-mel-knn")
    assert "2 training clip(s)" in line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scorer.n_neighbours=2", "did you mean 'n_neighbors'"),
        ("scorer.n_neighbors=many", "valid integer"),
        ("scorer.n_neighbors=0", "greater than or equal to 1"),
        ("scorer.name=nearest", "nearest-neighbors"),
        ("representation=nothing", "mean-log-mel"),
        ("autoencoder.name=huge", "this system has no network"),
        ("nonsense", "expected key=value"),
        ("scope=shared", "no network to share"),
    ],
)
def test_a_bad_setting_is_refused_by_name(tmp_path: Path, pump: Path, override: str, message: str) -> None:
    line = refusal("train", pump, "--out", tmp_path / "run", "--system", "log-mel-knn", "--set", override)
    assert message in line
    assert not (tmp_path / "run").exists()


def test_an_unknown_system_is_refused_with_a_suggestion(tmp_path: Path, pump: Path) -> None:
    assert "did you mean 'conditional'" in refusal("train", pump, "--out", tmp_path / "run", "--system", "condtional")


def test_a_network_whose_sizes_do_not_fit_is_refused(tmp_path: Path, pump: Path) -> None:
    for override, message in (
        ("autoencoder.segment_frames=30", "autoencoder.segment_frames is 30"),
        ("autoencoder.name=huge", "autoencoder.name: no 'huge'; there are convolutional"),
        ("training.accelerator=abacus", "training.accelerator: 'abacus'"),
    ):
        command = ("train", pump, "--system", "conditional", "--out", tmp_path / "run")
        assert message in refusal(*command, "--set", override, "-q")
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("harm", ["cut", "altered", "newer", "other"])
def test_a_harmed_detector_is_refused_by_name(tmp_path: Path, pump: Path, run: Path, harm: str) -> None:
    path = run / "pump.soundness"
    content = bytearray(path.read_bytes())
    if harm == "cut":
        content = content[:-100]
    elif harm == "altered":
        content[len(content) // 2] ^= 1
    elif harm == "newer":
        content = bytearray(
            bytes(content).replace(
                f"soundness detector {FORMATS['detector']} ".encode(),
                f"soundness detector {FORMATS['detector'] + 1} ".encode(),
                1,
            )
        )
    else:
        content = bytearray(b"RIFF and so on")
    path.write_bytes(content)
    line = refusal("score", path, pump / "normal" / "0.wav", "--out", tmp_path / "scores")
    assert str(path) in line
    assert not (tmp_path / "scores").exists()


def test_what_exists_is_not_overwritten_unless_asked(tmp_path: Path, pump: Path, run: Path) -> None:
    assert "--overwrite" in refusal("train", pump, "--out", run, "--system", "log-mel-knn")
    assert soundness("train", pump, "--out", run, "--system", "log-mel-knn", "--overwrite", "-q").exit_code == 0
    score = ("score", run, write(tmp_path / "today" / "a.wav"), "--out", tmp_path / "scores", "-q")
    assert soundness(*score).exit_code == 0
    assert "--overwrite" in refusal(*score)
    assert soundness(*score, "--overwrite").exit_code == 0


def test_overwriting_spares_a_folder_that_is_no_run(tmp_path: Path, pump: Path) -> None:
    precious = tmp_path / "thesis" / "chapter.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    line = refusal("train", pump, "--out", precious.parent, "--system", "log-mel-knn", "--overwrite")
    assert "is not the folder of a training" in line
    assert precious.read_text() == "years of work"


def test_a_machine_without_target_clips_is_trained_with_a_note(tmp_path: Path) -> None:
    for index in range(4):
        write(tmp_path / "fan" / "train" / f"section_00_source_train_normal_{index:04d}_n_A.wav", seed=index)
    result = soundness("train", tmp_path / "fan", "--out", tmp_path / "run", "--system", "log-mel-knn", "-q")
    assert result.exit_code == 0
    assert "no target-domain clips" in result.stderr


def test_the_training_table_shows_the_conditions_of_the_network(tmp_path: Path) -> None:
    for index in range(4):
        for domain in ("source", "target"):
            name = f"section_00_{domain}_train_normal_{index:04d}_noAttribute.wav"
            write(tmp_path / "fan" / "train" / name, seed=index)
    result = soundness("train", tmp_path / "fan", "--out", tmp_path / "run", "--system", "conditional", *TINY, "-q")
    assert result.exit_code == 0
    assert "conditioned on the domain only" in result.stderr
    assert "4 source + 4 target" in result.stdout


def test_a_detector_is_trained_with_a_separator_and_says_so(tmp_path: Path, pump: Path, separator_file: Path) -> None:
    out = tmp_path / "run"
    options = ("--system", "log-mel-knn", "--separation", "denoise", "--separator", separator_file)
    result = soundness("train", pump, "--out", out, *options)
    assert result.exit_code == 0, result.stderr
    assert "expected to take" in result.stderr
    assert "denoise" in result.stdout
    assert "the separator was trained for" in result.stdout
    assert soundness("score", out, pump, "--out", tmp_path / "scores", "-q").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--separation", "wash"), "separation: Input should be 'auto', 'off', 'augment', 'denoise'"),
        (("--separation", "augment"), "this system has none: denoise or off"),
        (("--separation", "denoise"), "no supplemental clips of noise alone"),
        (("--separator", "none.soundness"), "none.soundness: cannot be read"),
    ],
)
def test_a_separation_that_cannot_be_is_refused(
    tmp_path: Path, pump: Path, arguments: tuple[str, ...], message: str
) -> None:
    line = refusal("train", pump, "--out", tmp_path / "run", "--system", "log-mel-knn", "-q", *arguments)
    assert message in line


def test_the_year_is_shown_and_can_be_chosen(systems: tuple[Path, Path], tmp_path: Path) -> None:
    recognised = soundness("evaluate", systems[0], "--json", tmp_path / "a.json")
    assert recognised.exit_code == 0
    assert "as in DCASE 2021" in recognised.stdout
    assert "pAUC source" in recognised.stdout
    assert "--metric 2022 selects that of later years" in recognised.stderr
    assert json.loads((tmp_path / "a.json").read_text())["metric"] == "2021"
    chosen = soundness("evaluate", systems[0], "--metric", "2024")
    assert "as in DCASE 2022 and later" in chosen.stdout
    assert "pAUC source" not in chosen.stdout
    assert "no metric '2001'; there are 2020, 2021, and 2022" in refusal("evaluate", systems[0], "--metric", "2001")


def test_with_the_metric_of_2020_the_mean_of_auc_and_pauc_is_shown(systems: tuple[Path, Path]) -> None:
    result = soundness("evaluate", systems[0], "--metric", "2020", "-q")
    assert "official score" not in result.stdout
    assert "mean of AUC and pAUC over all machines" in result.stdout


def test_two_systems_are_compared(systems: tuple[Path, Path], tmp_path: Path) -> None:
    better, worse = systems
    result = soundness("evaluate", better, "--against", worse, "--json", tmp_path / "c.json")
    assert result.exit_code == 0
    score = json.loads((tmp_path / "c.json").read_text())["score"]
    assert score["p_value"] < 0.01
    assert score["difference"]["low"] > 0
    shown = f"{100 * score['difference']['value']:+.2f} [{100 * score['difference']['low']:+.2f}, "
    assert shown in result.stdout
    again = soundness("evaluate", better, "--against", worse)
    assert again.stdout == result.stdout
    assert soundness("evaluate", better, "--against", worse, "--seed", 1).stdout != result.stdout
    quiet = soundness("evaluate", better, "--against", worse, "-q").stdout
    assert quiet.count("\n") == 1
    assert "no such folder" in refusal("evaluate", better, "--against", tmp_path / "nowhere")


def test_each_system_is_listed_with_one_line() -> None:
    result = soundness("systems")
    assert result.exit_code == 0
    for name, words in system_descriptions().items():
        assert any(line.split(maxsplit=1) == [name, words] for line in map(str.strip, result.stdout.splitlines()))


def test_the_help_of_train_leads_to_the_list() -> None:
    text = soundness("train", "--help").stdout
    assert "soundness systems" in text
    assert "log-mel-quantile" not in text

"""The command line as its user meets it: exit status, one clear line, and nothing lost."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from command_line import refusal, soundness
from permissions import unprivileged
from soundness.sealed_files import FORMATS
from soundness.settings.system import SeparatorSettings

SEPARATOR = SeparatorSettings()

RATE = 16_000
TINY = ("--set", "training.max_steps=4", "--set", "training.steps_per_epoch=2", "--set", "autoencoder.channels=[2, 2]")


def write(path: Path, *, seed: int = 0, seconds: float = 1.5, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(scale=0.05, size=int(seconds * rate))
    soundfile.write(path, noise, rate, subtype="PCM_16")
    return path


@pytest.fixture
def pump(tmp_path: Path) -> Path:
    folder = tmp_path / "pump"
    for index in range(6):
        write(folder / "normal" / f"{index}.wav", seed=index)
    for index in range(3):
        write(folder / "abnormal" / f"bad_{index}.wav", seed=100 + index)
    return folder


@pytest.fixture
def run(tmp_path: Path, pump: Path) -> Path:
    out = tmp_path / "run"
    assert soundness("train", pump, "--out", out, "--system", "log-mel-knn", "-q").exit_code == 0
    return out


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


def test_the_oddest_recordings_are_named_with_their_scores(tmp_path: Path, pump: Path, run: Path) -> None:
    for index, level in enumerate((0.2, 0.4, 0.8)):
        path = tmp_path / "loud" / f"{index}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.random.default_rng(index).uniform(-level, level, size=RATE), RATE)
    result = soundness("score", run, tmp_path / "loud", pump / "normal" / "3.wav", "--out", tmp_path / "scores")
    assert "3 of them called anomalous" in result.stdout
    named = [line for line in result.stdout.splitlines() if "loud" in line]
    assert [line.split("/")[-1][0] for line in named] == ["2", "1", "0"]


def test_the_version_is_told() -> None:
    assert soundness("--version").stdout == "soundness 0.1.0\n"


def test_the_package_runs_as_a_module_with_its_exit_status(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "soundness")
    told = subprocess.run((*command, "--version"), capture_output=True, text=True, check=True)
    assert told.stdout == "soundness 0.1.0\n"
    missing = subprocess.run((*command, "inspect", tmp_path / "none"), capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert str(tmp_path / "none") in missing.stderr


def test_a_single_recording_can_be_scored(tmp_path: Path, pump: Path, run: Path) -> None:
    out = tmp_path / "one"
    assert soundness("score", run / "pump.soundness", pump / "normal" / "0.wav", "--out", out).exit_code == 0
    (row,) = (out / "anomaly_score_pump_section_00_test.csv").read_text().splitlines()
    name, value = row.split(",")
    assert name == "0.wav"
    assert np.isfinite(float(value))


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in (["inspect"], ["train", "--out", tmp_path / "run"]):
        line = refusal(command[0], tmp_path / "empty", *command[1:])
        assert f"{tmp_path / 'empty'}: no audio found" in line


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in refusal("inspect", tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in refusal("evaluate", tmp_path / "nowhere")


def test_a_folder_without_permission_is_refused_by_name(tmp_path: Path, pump: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (pump / "normal").chmod(0)
    try:
        with unprivileged(pump / "normal"):
            line = refusal("train", pump, "--out", tmp_path / "run")
    finally:
        (pump / "normal").chmod(0o755)
    assert str(pump / "normal") in line


BROKEN = {
    "empty": b"",
    "text": b"this is not audio\n" * 100,
    "zero": None,
    "truncated": None,
    "nan": None,
    "infinite": None,
    "short": None,
}


def write_broken(path: Path, kind: str) -> Path:
    content = BROKEN[kind]
    if content is not None:
        path.write_bytes(content)
    elif kind == "zero":
        soundfile.write(path, np.zeros(0), RATE)
    elif kind == "truncated":
        write(path)
        path.write_bytes(path.read_bytes()[:20_000])
    elif kind == "short":
        write(path, seconds=0.02)
    else:
        samples = np.zeros(RATE, dtype=np.float32)
        samples[500] = {"nan": np.nan, "infinite": np.inf}[kind]
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize("kind", BROKEN)
def test_training_refuses_a_broken_recording_by_name(tmp_path: Path, pump: Path, kind: str) -> None:
    path = write_broken(pump / "normal" / "broken.wav", kind)
    command = ("train", pump, "--out", tmp_path / "run", "--system", "log-mel-knn", "-q")
    assert str(path) in refusal(*command)
    path.unlink()
    assert soundness(*command).exit_code == 0  # the refused run is not in the way


def test_scoring_goes_on_after_broken_recordings(tmp_path: Path, run: Path) -> None:
    folder, out = tmp_path / "clips", tmp_path / "scores"
    write(folder / "good_1.wav", seed=1)
    broken = {write_broken(folder / f"broken_{kind}.wav", kind) for kind in BROKEN}
    write(folder / "good_2.wav", seed=2)
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


def test_training_clips_that_are_scored_are_said_to_be_known(tmp_path: Path, pump: Path, run: Path) -> None:
    shutil.rmtree(pump / "abnormal")
    result = soundness("score", run, pump, "--out", tmp_path / "scores")
    assert "its training clips are scored" in result.stderr


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


def test_a_clip_shorter_than_a_segment_is_scored_and_said(tmp_path: Path, pump: Path) -> None:
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


def test_two_clips_of_the_same_name_are_refused(tmp_path: Path, pump: Path, run: Path) -> None:
    write(tmp_path / "a" / "x.wav")
    write(tmp_path / "b" / "x.wav")
    line = refusal("score", run, tmp_path / "a", tmp_path / "b", "--out", tmp_path / "scores")
    assert str(tmp_path / "a" / "x.wav") in line
    assert str(tmp_path / "b" / "x.wav") in line
    soundfile.write(pump / "normal" / "0.flac", np.zeros(RATE), RATE)
    line = refusal("train", pump, "--out", tmp_path / "other", "--system", "log-mel-knn")
    assert "0.flac" in line
    assert "0.wav" in line


def test_a_loose_recording_of_the_name_of_a_test_clip_is_refused(tmp_path: Path, pump: Path, run: Path) -> None:
    loose = write(tmp_path / "loose" / "bad_0.wav", seed=7)
    line = refusal("score", run, loose, pump, "--out", tmp_path / "scores")
    assert str(loose) in line
    assert str(pump / "abnormal" / "bad_0.wav") in line


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
            bytes(content).replace(f"soundness detector {FORMATS['detector']} ".encode(), b"soundness detector 9 ", 1)
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
    score = ("score", run, pump / "normal", "--out", tmp_path / "scores", "-q")
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


def test_a_machine_without_target_clips_is_trained_and_said(tmp_path: Path) -> None:
    for index in range(4):
        write(tmp_path / "fan" / "train" / f"section_00_source_train_normal_{index:04d}_n_A.wav", seed=index)
    result = soundness("train", tmp_path / "fan", "--out", tmp_path / "run", "--system", "log-mel-knn", "-q")
    assert result.exit_code == 0
    assert "no target-domain clips" in result.stderr


def test_the_training_table_says_what_the_network_was_told(tmp_path: Path) -> None:
    for index in range(4):
        for domain in ("source", "target"):
            name = f"section_00_{domain}_train_normal_{index:04d}_noAttribute.wav"
            write(tmp_path / "fan" / "train" / name, seed=index)
    result = soundness("train", tmp_path / "fan", "--out", tmp_path / "run", "--system", "conditional", *TINY, "-q")
    assert result.exit_code == 0
    assert "conditioned on the domain only" in result.stderr
    assert "4 source + 4 target" in result.stdout


def test_training_without_torch_says_what_to_install(tmp_path: Path, pump: Path) -> None:
    program = "import sys; sys.modules['torch'] = None; from soundness.cli import main; main()"
    for arguments in (("train", str(pump), "--out", str(tmp_path / "r")), ("score", "x", "y", "--out", "z")):
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr == "soundness: this needs the package torch: pip install 'soundness[train]'\n"


def test_inspecting_and_evaluating_need_no_torch(tmp_path: Path, pump: Path, run: Path) -> None:
    write(tmp_path / "t" / "section_00_source_test_normal_0000_x.wav")
    write(tmp_path / "t" / "section_00_source_test_anomaly_0000_x.wav", seed=3)
    assert soundness("score", run, tmp_path / "t", "--out", tmp_path / "scores").exit_code == 0
    program = "import sys; sys.modules['torch'] = None; from soundness.cli import main; main()"
    for arguments in (("inspect", str(pump)), ("evaluate", str(tmp_path / "scores"))):
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_a_training_without_a_network_does_without_lightning_which_takes_seconds_to_load(
    tmp_path: Path, pump: Path
) -> None:
    program = "import sys; sys.modules['lightning_fabric'] = None; from soundness.cli import main; main()"
    arguments = ("train", str(pump), "--out", str(tmp_path / "run"), "-q")
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_soundness_loads_nothing_heavy() -> None:
    program = "import sys, soundness; print(*sorted({'torch', 'numpy', 'typer', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_status_two(tmp_path: Path, pump: Path) -> None:
    command = Path(sys.executable).with_name("soundness")
    out = tmp_path / "run"
    arguments = (
        "train",
        str(pump),
        "--out",
        str(out),
        "--system",
        "conditional",
        "--set",
        "training.max_steps=100000",
        "-q",
    )
    process = subprocess.Popen([command, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.rglob("last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "soundness: interrupted" in errors
    assert "Traceback" not in errors
    assert list(out.rglob("last.ckpt"))  # --resume can go on


def test_the_help_of_every_command_tells_what_it_is_for() -> None:
    for command in (
        "inspect",
        "make-data",
        "train-separator",
        "separate",
        "train",
        "score",
        "evaluate",
        "demo",
    ):
        result = soundness(command, "--help")
        assert result.exit_code == 0
        assert len(result.stdout) > 300


# Separation


SMALL_SEPARATOR = ("--set", "max_steps=4", "--set", "batch_size=2", "--set", "crop_seconds=[0.2, 0.3]")


@pytest.fixture
def with_noise(pump: Path) -> Path:
    """The pump, with noise clips among its supplemental ones."""
    for index in range(3):
        write(pump / "supplemental" / f"section_00_noise_{index:04d}_.wav", seed=200 + index, seconds=0.5)
    return pump


def test_a_separator_is_trained_and_shown(tmp_path: Path, with_noise: Path) -> None:
    out = tmp_path / "pump.separator"
    result = soundness(
        "train-separator", with_noise, "--out", out, "--minutes", 100, "--set", "n_fft=2048", *SMALL_SEPARATOR
    )
    assert result.exit_code == 0, result.stderr
    assert out.is_file()
    (picture,) = (tmp_path / "pump_pictures").iterdir()
    assert picture.name == "pump.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "SI-SNR improvement" in result.stdout
    (row,) = [line for line in result.stdout.splitlines() if "noisy" in line and "pump" in line]
    assert len([word for word in row.split() if word.replace(".", "").lstrip("-").isdigit()]) == 3  # a level each
    assert "4 steps" in result.stdout
    assert "a noisy reference makes the figure too low" in result.stdout
    assert "noisy training clips, mixed with 2 clips of noise" in result.stderr
    assert "--overwrite" in refusal("train-separator", with_noise, "--out", out)


def test_the_help_of_train_separator_names_the_defaults_of_the_settings() -> None:
    text = soundness("train-separator", "--help").stdout
    for default in (SEPARATOR.size, SEPARATOR.basis, f"{SEPARATOR.minutes:g}"):
        assert f"[default: ({default})]" in text


@pytest.mark.slow
def test_the_options_of_a_separator_are_its_settings(tmp_path: Path, with_noise: Path) -> None:
    out = tmp_path / "s.soundness"
    options = ("--size", "cpu-quality", "--basis", "learned", "--minutes", "0.001", "--seed", "7", "-q")
    result = soundness("train-separator", with_noise, "--out", out, *options, *SMALL_SEPARATOR)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("cpu-quality, learned basis") == 1
    about = out.read_bytes()[:5_000].decode(errors="replace")
    assert '\\"minutes\\": 0.001' in about
    assert '\\"seed\\": 7' in about


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "huge"), "size"),
        (("--basis", "wavelets"), "basis"),
        (("--minutes", "-1"), "minutes"),
        (("--minutes", "0"), "minutes"),
        (("--set", "snr_bd=[0, 0]"), "did you mean 'snr_db'"),
        (("--set", "snr_db=[5, 0]"), "the smaller comes first"),
        (("--machines", "valve"), "no machine 'valve'; there are pump"),
        (("--start", "none.soundness"), "none.soundness: cannot be read"),
    ],
)
def test_what_no_separator_can_be_trained_with_is_refused(
    tmp_path: Path, with_noise: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in refusal("train-separator", with_noise, "--out", tmp_path / "s.soundness", "-q", *arguments)
    assert not list(tmp_path.glob("s*"))


def test_data_that_no_separator_can_be_trained_on_are_refused(tmp_path: Path, pump: Path) -> None:
    line = refusal("train-separator", pump, "--out", tmp_path / "s.soundness", "-q")
    assert "no supplemental clips of noise alone" in line
    assert str(tmp_path / "nowhere") in refusal("train-separator", tmp_path / "nowhere", "--out", tmp_path / "s")


def test_recordings_are_separated(tmp_path: Path, pump: Path, separator_file: Path) -> None:
    out = tmp_path / "out"
    path = write(tmp_path / "slow.wav", rate=8_000)
    result = soundness("separate", separator_file, pump, path, "--out", out, "--noise")
    assert result.exit_code == 0, result.stderr
    assert f"10 recordings separated, 0.2 minutes of sound; results in {out}" in result.stdout
    assert f"{path}: 8000 Hz; written at 16000 Hz" in result.stderr
    for kind in ("machine", "noise"):
        assert len(list((out / kind / "normal").iterdir())) == 6
        assert (out / kind / "slow.wav").is_file()
    assert "--overwrite" in refusal("separate", separator_file, pump, "--out", out)
    assert soundness("separate", separator_file, pump, "--out", out, "--overwrite", "-q").exit_code == 0


def test_separating_goes_on_after_broken_recordings(tmp_path: Path, separator_file: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    write(folder / "good_1.wav", seed=1)
    broken = {write_broken(folder / f"broken_{kind}.wav", kind) for kind in BROKEN if kind != "short"}
    write(folder / "good_2.wav", seed=2)
    result = soundness("separate", separator_file, folder, "--out", out)
    assert result.exit_code == 1
    assert f"{len(broken)} recording(s) could not be separated" in result.stderr
    assert all(str(path) in result.stderr for path in broken)
    assert sorted(path.name for path in out.rglob("*.*")) == ["good_1.wav", "good_2.wav"]


def test_nothing_that_can_be_separated_is_status_two(tmp_path: Path, separator_file: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    assert "no recordings there" in refusal("separate", separator_file, folder, "--out", tmp_path / "out")
    write_broken(folder / "only.wav", "text")
    assert soundness("separate", separator_file, folder, "--out", tmp_path / "out").exit_code == 2


def test_a_detector_cannot_separate_and_a_separator_cannot_score(
    tmp_path: Path, pump: Path, run: Path, separator_file: Path
) -> None:
    line = refusal("separate", run / "pump.soundness", pump, "--out", tmp_path / "out")
    assert "holds a detector; expected a separator" in line
    line = refusal("score", separator_file, pump, "--out", tmp_path / "out")
    assert "holds a separator; expected a detector" in line
    assert not (tmp_path / "out").exists()


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

"""Commands that separate the machine from the noise."""

from pathlib import Path

import pytest

from command_line import refusal, soundness
from recordings import BROKEN, write, write_broken
from soundness.settings.separation import SeparatorSettings

SEPARATOR = SeparatorSettings()
pytestmark = pytest.mark.usefixtures("mixture_seconds")
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

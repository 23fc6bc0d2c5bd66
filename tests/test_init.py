"""Public functions: each does what the command of its name does, and loads no more than it needs."""

import subprocess
import sys

import pytest

import soundness
from soundness.errors import SettingsError, SoundnessError


def test_every_public_name_is_there():
    for name in soundness.__all__:
        assert getattr(soundness, name).__name__ == name


def test_a_name_that_is_not_public_is_not_there():
    with pytest.raises(AttributeError, match="attribute sing"):
        soundness.sing  # noqa: B018  # the look-up is what is tested


def test_the_functions_lead_from_data_to_figures(tmp_path):
    result = soundness.make_data(
        tmp_path / "data",
        machines=("fan",),
        n_train=6,
        n_target_train=2,
        n_test_normal=4,
        n_test_anomaly=4,
        seconds=1.0,
    )
    assert result.root == tmp_path / "data"
    splits = {report.split: report for report in soundness.inspect(result.root).splits}
    assert splits["train"].n_clips == 6
    (detector,) = soundness.train(result.root, tmp_path / "run", system="log-mel-knn", seed=3)
    assert detector.summary.seed == 3
    report = soundness.score(tmp_path / "run", [result.root], tmp_path / "scores")
    assert report.n_scored == 8
    evaluation = soundness.evaluate(tmp_path / "scores")
    assert evaluation == soundness.evaluate(tmp_path / "scores", truth=result.root)
    clip = sorted((result.root / "fan" / "test").iterdir())[0]
    scores = (tmp_path / "scores" / "anomaly_score_fan_section_00_test.csv").read_text()
    alone = soundness.score_clip(soundness.load(tmp_path / "run")["fan"], clip)
    assert f"{clip.name},{alone!r}" in scores.splitlines()


def test_a_detector_without_a_network_is_trained_asked_and_explained_without_torch(tmp_path, fan):
    clip = next((fan / "test").glob("*anomaly*"))
    program = (
        "import glob, socket, sys\n"
        "unknown = ('torch', 'pytorch_lightning', 'sklearn', 'matplotlib', 'yaml', 'onnx')\n"
        "sys.modules.update(dict.fromkeys(unknown))\n"  # as in an installation with the extra runtime alone
        "def refuse(*_): raise AssertionError('no network here')\n"
        "socket.socket.connect = refuse\n"
        "import soundness\n"
        "fan, clip = sys.argv[1:]\n"
        "soundness.train(fan, 'run')\n"
        "soundness.score('run', [fan], 'scores')\n"
        "soundness.explain('run', clip, 'why')\n"
        "soundness.enroll('run', [clip], 'enrolled.soundness', condition='new', force=True)\n"
        "soundness.drift('run', [fan + '/train'])\n"
        "soundness.calibrate('run', glob.glob(fan + '/test/*_normal_*'), 'calibrated.soundness')\n"
        "from soundness.monitoring.alarm_rules import AlarmRequest\n"
        "request = AlarmRequest(false_alarms='12/day', clip_every='1h')\n"
        "soundness.alarms('calibrated.soundness', request, out='watching.soundness')\n"
        "soundness.watch(fan + '/test', detector='watching.soundness', log='log.csv', once=True)\n"
        "soundness.report('run', 'report.html', scores='scores')\n"
        "print([name for name in unknown if sys.modules[name] is not None])\n"
    )
    command = [sys.executable, "-c", program, str(fan), str(clip)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout == "[]\n"


def test_a_function_whose_packages_are_not_installed_says_how_to_install_them():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import soundness\n"
        "try: soundness.train_separator\n"
        "except soundness.SoundnessError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith('this needs torch, not installed here: python -m pip install "torch')


@pytest.mark.slow
def test_the_functions_lead_from_supplemental_clips_to_a_detector_that_separates(tmp_path, hall, small_separator):
    trained = soundness.train_separator(
        hall, tmp_path / "hall.soundness", settings=small_separator(), machines=["fan", "pump"], seed=3
    )
    separator = trained.separator
    assert separator.summary.seed == 3
    assert separator.settings == small_separator()
    report = soundness.separate(tmp_path / "hall.soundness", [hall / "fan" / "test"], tmp_path / "out", has_noise=True)
    assert report.n_separated == 4
    assert len(list((tmp_path / "out" / "noise").iterdir())) == 4
    settings = soundness.load_settings("log-mel-knn", overrides=["separation=denoise"])
    options = {"system": settings, "machines": ["fan"], "separator": str(tmp_path / "hall.soundness")}
    (detector,) = soundness.train(hall, tmp_path / "run", **options)
    assert detector.separator.fingerprint == separator.fingerprint
    assert soundness.score(tmp_path / "run", [hall / "fan"], tmp_path / "scores").n_scored == 4


def test_a_setting_of_the_factory_is_checked_by_name(tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'n_train'"):
        soundness.make_data(tmp_path / "data", n_trian=3)
    with pytest.raises(SettingsError, match="turbine"):
        soundness.make_data(tmp_path / "data", machines=("turbine",))
    assert not (tmp_path / "data").exists()


def test_the_doctests_of_the_package_hold():
    done = subprocess.run(
        [sys.executable, "-m", "doctest", "-v", soundness.__file__], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_every_error_of_the_package_is_a_soundness_error():
    from soundness import errors

    classes = [each for name in errors.__all__ if isinstance(each := getattr(errors, name), type)]
    assert len(classes) == 14
    assert all(issubclass(error, SoundnessError) for error in classes)

"""From supplemental clips to a separator in a file: what is read, what is refused, what is said, what survives."""

import json
import re
import shutil

import numpy as np
import pytest
import soundfile
import torch

from soundness.data.datasets import open_dataset
from soundness.errors import AudioError, BundleError, DataError, OutputError, SettingsError
from soundness.separation.saving import load_separator, save_separator
from soundness.separation.training import SNR_DB, train_separator
from soundness.training.separation import can_train_separator

RATE = 16_000

pytestmark = pytest.mark.usefixtures("mixture_seconds", "few_blocks")


@pytest.fixture(scope="module")
def separator_file(tmp_path_factory, hall, small_separator, few_blocks, mixture_seconds):  # noqa: ARG001  # as all here
    """A separator of few blocks; that of `conftest` has all of them, and is loaded by other modules, too."""
    path = tmp_path_factory.mktemp("separator") / "few.soundness"
    train_separator(hall, path, settings=small_separator("max_steps=10"))
    return path


@pytest.fixture(scope="module")
def separator(separator_file):
    """The separator of `separator_file`."""
    return load_separator(separator_file)


@pytest.fixture
def run(tmp_path, small_separator):
    """Trains into a file of its own."""

    def run(data, *overrides, out="s.soundness", **options):
        settings = small_separator("sample_rate=4000", *overrides)  # few samples to measure with
        return train_separator(data, tmp_path / out, settings=settings, **options)

    return run


@pytest.fixture
def copied(hall, tmp_path):
    """A data set that a test may change."""
    return shutil.copytree(hall, tmp_path / "data")


def noise(n_samples, *, n_channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((n_samples, n_channels))


def supplemental(data, machine, kind):
    return sorted((data / machine / "supplemental").glob(f"*_{kind}_*"))


def weights(separator):
    return torch.cat([tensor.flatten() for tensor in separator.network.state_dict().values()])


def same(one, other):
    return torch.equal(weights(one), weights(other))


def stop(what, *_):
    if what.startswith("training"):
        raise KeyboardInterrupt


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_training_leaves_a_file_that_holds_the_separator_and_nothing_else(hall, run, tmp_path):
    trained = run(hall, seed=3)
    again = load_separator(tmp_path / "s.soundness")
    assert same(again, trained.separator)
    assert again.summary == trained.separator.summary
    assert [path.name for path in tmp_path.iterdir()] == ["s.soundness"]
    summary = again.summary
    assert (summary.seed, summary.machine_types, summary.n_steps) == (3, ("fan", "pump"), 6)
    assert summary.n_clips == {"clean": 3, "noise": 4, "noisy": 3 + 11}  # one of each kind is held out
    assert summary.n_parameters == sum(p.numel() for p in again.network.parameters())
    assert summary.seconds > 0
    assert summary.versions.keys() >= {"python", "soundness", "torch", "numpy"}


def test_each_machine_is_measured_at_each_level(hall, run):
    trained = run(hall)
    found = [(one.machine_type, one.snr_db, one.is_noisy_target) for one in trained.separator.summary.improvements]
    assert found == [(name, level, name == "pump") for name in ("fan", "pump") for level in SNR_DB]
    assert SNR_DB == (-5.0, 0.0, 5.0)
    for one in trained.separator.summary.improvements:
        assert one.n_mixtures == 12
        assert np.isfinite([one.si_snr_db, one.improvement_db]).all()
        if one.machine_type == "fan":  # what is not improved is the mixture, at the level that it was mixed at
            assert one.si_snr_db - one.improvement_db == pytest.approx(one.snr_db, abs=0.5)


def test_an_example_of_each_machine_is_given(hall, run, mixture_seconds):
    examples = run(hall).examples
    assert [example.machine_type for example in examples] == ["fan", "pump"]
    for example in examples:
        assert example.mixture.shape == example.estimate.shape == example.reference.shape == (mixture_seconds * 4_000,)


def test_the_examples_are_drawn_a_picture_each(hall, run, tmp_path):
    pictures = run(hall).draw(tmp_path / "pictures")
    assert pictures == [tmp_path / "pictures" / f"{name}.png" for name in ("fan", "pump")]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_the_separator_begins_with_a_file_given_as_text(hall, run, tmp_path):
    first, again = (run(hall, out=name).separator.fingerprint for name in ("first.soundness", "again.soundness"))
    assert first == again
    assert run(hall, start=str(tmp_path / "first.soundness")).separator.fingerprint != first


def test_what_was_mixed_with_what_is_said(hall, run):
    notes = run(hall).separator.summary.notes
    assert "fan: 3 clean clips, mixed with 4 clips of noise" in notes
    assert "fan: 3 noisy training clips, mixed with 4 clips of noise" in notes
    assert "pump: 11 noisy training clips, mixed with 4 clips of noise" in notes


def test_progress_tells_of_reading_training_and_measuring(hall, run):
    calls = []
    run(hall, progress=lambda *what: calls.append(what))
    names = list(dict.fromkeys(what for what, _, _ in calls))
    assert names == ["reading", "training the separator (seconds)", "measuring"]
    assert [(done, total) for what, done, total in calls if what == "reading"] == [(n, 25) for n in range(1, 26)]
    assert calls[-1] == ("measuring", 6, 6)


@pytest.mark.slow
def test_the_seed_matters_and_the_same_seed_gives_the_same_separator(hall, run):
    one, again, other = (run(hall, seed=seed, out=name).separator for seed, name in ((1, "a"), (1, "b"), (2, "c")))
    assert same(one, again)
    assert not same(one, other)


def test_a_seed_below_zero_is_refused(hall, run):
    with pytest.raises(SettingsError, match="seed: -1"):
        run(hall, seed=-1)


# What is read


def test_test_clips_are_never_read(copied, run):
    before = run(copied, out="before").separator
    for path in copied.glob("*/test/*.wav"):
        path.write_bytes(b"never read")
    assert same(run(copied, out="after").separator, before)


def test_training_clips_are_read_only_of_what_there_are_no_clean_clips_of(copied, run):
    before = run(copied, out="before").separator
    for path in (copied / "fan" / "train").glob("*_source_*"):  # clean clips are of the source domain
        path.write_bytes(b"never read")
    assert same(run(copied, out="after").separator, before)
    for machine, domain in (("fan", "target"), ("pump", "source"), ("pump", "target")):
        path = sorted((copied / machine / "train").glob(f"*_{domain}_*"))[0]
        whole = path.read_bytes()
        path.write_bytes(b"read")
        with pytest.raises(AudioError, match=re.escape(f"{path}: not audio")):
            run(copied, out="broken")
        path.write_bytes(whole)


def test_supplemental_clips_of_neither_kind_are_not_read(copied, run):
    before = run(copied, out="before").separator
    (copied / "fan" / "supplemental" / "silence.wav").write_bytes(b"never read")
    assert same(run(copied, out="after").separator, before)


@pytest.mark.slow
def test_the_clips_that_are_held_out_are_not_trained_on(copied, run):
    # Each clean clip is replaced in turn by another sound: the weights stay where it was held out.
    before = run(copied, out="before").separator
    is_trained_on = []
    for path in supplemental(copied, "fan", "machine"):
        whole = path.read_bytes()
        samples = soundfile.read(path)[0]
        soundfile.write(path, samples[::-1] ** 3, RATE)
        changed = run(copied, out=path.stem)
        is_trained_on.append(not same(changed.separator, before))
        assert changed.separator.summary.improvements != before.summary.improvements
        path.write_bytes(whole)
    assert sorted(is_trained_on) == [False, True, True, True]


def test_a_larger_share_may_be_held_out(hall, run):
    summary = run(hall, "held_out=0.5").separator.summary
    assert summary.n_clips == {"clean": 2, "noise": 3, "noisy": 2 + 6}


def test_no_more_training_clips_are_used_than_asked_for(hall, run):
    summary = run(hall, "most_training_clips=5").separator.summary
    assert summary.n_clips["noisy"] == 3 + 4


@pytest.mark.slow
@pytest.mark.parametrize("channel", [0, 1])
def test_the_channel_of_the_settings_is_read(copied, run, tmp_path, channel):
    stereo = shutil.copytree(copied, tmp_path / "stereo")
    for path in [*stereo.glob("*/train/*.wav"), *stereo.glob("*/supplemental/*.wav")]:
        mono = soundfile.read(path)[0]
        pair = [mono, noise(len(mono))[:, 0]]
        soundfile.write(path, np.column_stack(pair if channel == 0 else pair[::-1]), RATE)
    expected = run(copied, out="mono").separator
    assert same(run(stereo, f"channel={channel}", out="right").separator, expected)
    assert not same(run(stereo, f"channel={1 - channel}", out="wrong").separator, expected)


def test_a_clip_without_the_channel_is_refused_by_name(hall, run):
    with pytest.raises(AudioError, match=r"fan/supplemental/section.*: 1 channel\(s\); channel 1 \(counted from 0\)"):
        run(hall, "channel=1")


def test_clips_of_other_rates_are_resampled(copied, run):
    before = run(copied, out="before")
    for rate, path in zip((8_000, 48_000), supplemental(copied, "pump", "noise"), strict=False):
        soundfile.write(path, noise(rate // 2), rate)
    for path in supplemental(copied, "fan", "machine"):
        samples = soundfile.read(path)[0]
        soundfile.write(path, np.interp(np.arange(0, len(samples), 1 / 3), np.arange(len(samples)), samples), 3 * RATE)
    after = run(copied, out="after")
    mixtures = [trained.examples[0].reference for trained in (before, after)]
    assert np.abs(np.fft.rfft(mixtures[0])).argmax() == np.abs(np.fft.rfft(mixtures[1])).argmax()


def test_a_separator_of_another_rate_is_trained(hall, run, mixture_seconds):
    trained = run(hall, "sample_rate=8000")
    assert trained.separator.settings.sample_rate == 8_000
    assert trained.examples[0].mixture.shape == (mixture_seconds * 8_000,)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("machine", "kind"), [("fan", "machine"), ("pump", "noise")])
def test_a_clip_with_samples_that_are_no_numbers_is_named(copied, run, tmp_path, machine, kind, value):
    path = supplemental(copied, machine, kind)[1]
    whole, samples = path.read_bytes(), noise(6_400)
    samples[3_000] = value
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=re.escape(f"{path}: holds samples that are no numbers")):
        run(copied)
    assert not (tmp_path / "s.soundness").exists()
    path.write_bytes(whole)
    run(copied)  # the refused training is not in the way


@pytest.mark.parametrize("content", [b"", b"no audio", "cut"])
def test_a_clip_that_cannot_be_read_is_named(copied, run, content):
    path = supplemental(copied, "pump", "noise")[0]
    path.write_bytes(path.read_bytes()[:2_000] if content == "cut" else content)
    with pytest.raises(AudioError, match=re.escape(f"{path}: ")) as caught:
        run(copied)
    assert "\n" not in str(caught.value)


def test_a_silent_clip_is_left_out_and_said(copied, run):
    soundfile.write(supplemental(copied, "fan", "machine")[0], np.zeros(6_400), RATE)
    soundfile.write(supplemental(copied, "pump", "noise")[0], np.zeros(6_400), RATE)
    summary = run(copied).separator.summary
    assert "fan: 1 clip(s) of digital silence are left out" in summary.notes
    assert "pump: 1 clip(s) of digital silence are left out" in summary.notes
    assert summary.n_clips == {"clean": 2, "noise": 3, "noisy": 3 + 11}


def test_where_all_noise_is_silent_there_is_none(copied, run):
    for path in supplemental(copied, "pump", "noise"):
        soundfile.write(path, np.zeros(6_400), RATE)
    with pytest.raises(DataError, match="no supplemental clips of noise alone"):
        run(copied)


def test_a_very_short_clip_is_used(copied, run):
    soundfile.write(supplemental(copied, "fan", "machine")[0], noise(1), RATE)
    soundfile.write(supplemental(copied, "pump", "noise")[0], noise(3), RATE)
    assert torch.isfinite(weights(run(copied, "sample_rate=16000").separator)).all()


def test_a_single_supplemental_clip_is_enough_and_is_said(tmp_path, write_hall, run):
    summary = run(write_hall(tmp_path / "data", n_clean=0, n_noise=1)).separator.summary
    assert "pump: a single noise clip: trained on and measured with" in summary.notes
    assert summary.n_clips == {"clean": 0, "noise": 1, "noisy": 11}
    assert {one.machine_type for one in summary.improvements} == {"pump"}


def test_a_machine_of_which_nothing_can_be_mixed_is_said(tmp_path, write_hall, run):
    notes = run(write_hall(tmp_path / "data", n_clean=0)).separator.summary.notes
    assert "fan: no supplemental clips that can be mixed: its own sound is not learned" in notes


def test_a_machine_with_clean_and_noise_clips_needs_no_other(tmp_path, write_machine, write_supplemental, run):
    folder = write_supplemental(write_machine(tmp_path / "data", n_target=0), n_clean=3, n_noise=3)
    summary = run(folder).separator.summary
    assert summary.n_clips == {"clean": 2, "noise": 2, "noisy": 0}
    assert not any(one.is_noisy_target for one in summary.improvements)


# What is refused


@pytest.mark.parametrize(
    ("n_clean", "message"),
    [(0, "neither kind"), (3, "2 clean machine clips, but none of noise alone")],
)
def test_data_without_noise_are_refused(tmp_path, write_hall, run, n_clean, message):
    data = write_hall(tmp_path / "data", n_clean=n_clean, n_noise=0)
    with pytest.raises(DataError, match=f"no supplemental clips of noise alone .*{message}"):
        run(data)
    assert not list(tmp_path.glob("s.soundness*"))


@pytest.mark.parametrize(("n_clean", "n_noise", "can"), [(0, 0, False), (3, 0, False), (0, 3, True), (3, 3, True)])
def test_whether_a_separator_can_be_trained_is_known_from_names(tmp_path, write_hall, n_clean, n_noise, can):
    data = write_hall(tmp_path / "data", n_clean=n_clean, n_noise=n_noise)
    assert can_train_separator(open_dataset(data).machines.values()) == can


def test_a_machine_may_be_picked_with_the_noise_of_all(hall, run):
    summary = run(hall, machines=["fan"]).separator.summary
    assert summary.machine_types == ("fan",)
    assert summary.n_clips == {"clean": 3, "noise": 4, "noisy": 3}
    assert {one.machine_type for one in summary.improvements} == {"fan"}


def test_a_machine_that_is_not_there_is_refused_with_those_that_are(hall, run, tmp_path):
    with pytest.raises(DataError, match="no machine 'valve'; there are fan, pump"):
        run(hall, machines=["valve"])
    assert not list(tmp_path.iterdir())


def test_a_picked_machine_without_clips_to_mix_is_refused(tmp_path, write_hall, run):
    data = write_hall(tmp_path / "data", n_clean=0)
    with pytest.raises(DataError, match="fan: no supplemental clips, so there is nothing to train on"):
        run(data, machines=["fan"])


def test_an_accelerator_that_is_not_there_is_refused(hall, run, tmp_path):
    with pytest.raises(SettingsError, match="accelerator: 'abacus'"):
        run(hall, "accelerator=abacus")
    assert not list(tmp_path.iterdir())


# Fine-tuning


def test_a_training_begins_with_the_separator_that_it_is_given(hall, run, separator_file, separator):
    tuned = run(hall, "learning_rate=1e-12", start=separator_file).separator
    torch.testing.assert_close(weights(tuned), weights(separator))


def test_a_start_of_another_size_or_that_is_no_separator_is_refused(hall, run, separator_file, tmp_path):
    with pytest.raises(SettingsError, match="of another size, basis or kind"):
        run(hall, "size=gpu", start=separator_file)
    (tmp_path / "x.soundness").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"x\.soundness: not a separator"):
        run(hall, start=tmp_path / "x.soundness", out="other")
    assert not (tmp_path / "other").exists()


# The separator's file


def test_a_separator_that_is_there_is_not_replaced_unasked(hall, run, tmp_path):
    run(hall)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=r"s\.soundness: exists already; --overwrite replaces it"):
        run(hall, seed=2)
    assert contents(tmp_path) == before
    assert run(hall, seed=2, existing="replace").separator.summary.seed == 2


def test_a_separator_of_an_older_format_is_trained_anew(hall, run, tmp_path):
    (tmp_path / "s.soundness").write_bytes(b"soundness separator 1 4 0\nolder")
    assert run(hall, existing="replace").separator.summary.seed == 0
    assert load_separator(tmp_path / "s.soundness").summary.seed == 0


@pytest.mark.parametrize("content", [b"years of work", b""])
def test_a_file_that_is_no_separator_is_never_overwritten(hall, run, tmp_path, content):
    (tmp_path / "s.soundness").write_bytes(content)
    with pytest.raises(BundleError, match=r"s\.soundness: not a separator"):
        run(hall, existing="replace")
    assert contents(tmp_path) == {"s.soundness": content}


def test_a_detector_is_never_overwritten(hall, run, runs, tmp_path):
    shutil.copy(runs["log-mel-knn"] / "fan.soundness", tmp_path / "s.soundness")
    with pytest.raises(BundleError, match="holds a detector; expected a separator"):
        run(hall, existing="replace")


def test_a_folder_of_somebody_else_in_the_place_of_the_checkpoints_is_never_removed(hall, run, tmp_path):
    (tmp_path / "s.soundness.training").mkdir()
    (tmp_path / "s.soundness.training" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="not the folder of a training"):
        run(hall, existing="replace")
    assert contents(tmp_path) == {"s.soundness.training/thesis.txt": b"mine"}


def test_a_place_that_cannot_be_written_is_named(hall, run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"s\.soundness.*: cannot be made: its folder is a file"):
        run(hall, out="file/s.soundness")


def test_the_folder_of_the_file_is_made(hall, run, tmp_path):
    run(hall, out="new/deeper/s.soundness")
    assert [path.name for path in (tmp_path / "new" / "deeper").iterdir()] == ["s.soundness"]


# Resuming


@pytest.mark.slow
def test_a_training_that_is_interrupted_and_resumed_gives_the_same_separator(hall, run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(hall, progress=stop)
    assert not (tmp_path / "s.soundness").exists()
    with pytest.raises(OutputError, match=r"s\.soundness\.training: exists already; .*--resume goes on with it"):
        run(hall)
    resumed, whole = run(hall, existing="resume"), run(hall, out="whole")
    assert same(resumed.separator, whole.separator)
    assert resumed.separator.summary.improvements == whole.separator.summary.improvements
    assert not (tmp_path / "s.soundness.training").exists()


@pytest.mark.slow
def test_an_interrupted_training_may_be_started_anew(hall, run):
    with pytest.raises(KeyboardInterrupt):
        run(hall, seed=5, progress=stop)
    assert same(run(hall, existing="replace").separator, run(hall, out="whole").separator)


def test_a_clip_that_cannot_be_read_leaves_an_interrupted_training_as_it_was(copied, run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(copied, progress=stop)
    work = tmp_path / "s.soundness.training"
    (work / "notes.txt").write_text("mine")
    before = contents(work)
    path = supplemental(copied, "pump", "noise")[0]
    path.write_bytes(b"no audio")
    for existing in ("replace", "resume"):
        with pytest.raises(AudioError, match=re.escape(f"{path}: ")):
            run(copied, existing=existing)
    assert contents(work) == before
    shutil.rmtree(work / "fit")
    with pytest.raises(AudioError, match=re.escape(f"{path}: ")):
        run(copied, existing="replace")
    assert sorted(contents(work)) == ["notes.txt", "run.json"]


def test_a_finished_training_removes_nothing_of_somebody_else(hall, run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(hall, progress=stop)
    (tmp_path / "s.soundness.training" / "notes.txt").write_text("mine")
    run(hall, existing="replace")
    assert contents(tmp_path / "s.soundness.training") == {"notes.txt": b"mine"}


@pytest.mark.parametrize(
    ("overrides", "options", "key"),
    [
        ((), {"seed": 1}, "seed"),
        (("snr_db=[0, 0]",), {}, "settings"),
        ((), {"machines": ["fan"]}, "machine_types"),
    ],
)
def test_resuming_something_else_is_refused_by_name(hall, run, tmp_path, overrides, options, key):
    with pytest.raises(KeyboardInterrupt):
        run(hall, progress=stop)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=rf"s\.soundness\.training: was started with another {key}"):
        run(hall, *overrides, existing="resume", **options)
    assert contents(tmp_path) == before


def test_resuming_what_an_older_version_began_is_refused(hall, run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(hall, progress=stop)
    began = tmp_path / "s.soundness.training" / "run.json"
    identity = json.loads(began.read_text())
    began.write_text(json.dumps(identity | {"format": identity["format"] - 1}))
    with pytest.raises(OutputError, match=r"s\.soundness\.training: was started with another format"):
        run(hall, existing="resume")


def test_resuming_with_other_data_or_another_start_is_refused(copied, run, separator_file):
    with pytest.raises(KeyboardInterrupt):
        run(copied, progress=stop)
    with pytest.raises(OutputError, match="another start"):
        run(copied, start=separator_file, existing="resume")
    supplemental(copied, "pump", "noise")[0].unlink()
    with pytest.raises(OutputError, match="another data"):
        run(copied, existing="resume")


def test_resuming_a_finished_training_gives_its_separator(hall, run, tmp_path):
    before = run(hall)
    written = contents(tmp_path)
    after = run(hall, existing="resume")
    assert same(after.separator, before.separator)
    assert after.examples == ()
    assert contents(tmp_path) == written


def test_resuming_where_nothing_was_begun_begins(hall, run):
    assert run(hall, existing="resume").separator.summary.n_steps == 6


def test_saving_what_was_trained_gives_the_same_file(hall, run, tmp_path):
    save_separator(run(hall).separator, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "s.soundness").read_bytes()

"""Training clips are read as their system asks; what no training should start with is refused by name."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from soundness.audio.log_mel import LogMel
from soundness.audio.log_mel_cache import LogMelCache
from soundness.data.datasets import FEWEST_TRAINING_CLIPS, open_dataset
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.errors import AudioError, DataError
from soundness.training.preparation.clips import check_training_clips, read_machine

RATE = 16_000


def noise(n_samples, *, n_channels=1, seed=0):
    samples = 0.1 * np.random.default_rng(seed).standard_normal((n_samples, n_channels))
    return samples.astype(np.float32)


def machine_of(folder):
    (machine,) = open_dataset(folder).machines.values()
    return machine


@pytest.fixture
def folder(tmp_path, write_machine):
    return write_machine(tmp_path, n_source=4, n_target=2)


def read(machine, settings, separator=None, *, cache=None, advance=lambda: None):
    return read_machine(machine, RecordingReader(FrontEnd(settings, separator), cache), advance=advance)


def clips_in(folder, settings, separator=None):
    return read(machine_of(folder), settings, separator)


def first_clip(folder):
    return sorted((folder / "train").iterdir())[0]


@pytest.mark.parametrize("n_clips", [0, 1, 2])
def test_fewer_than_three_training_clips_are_refused(tmp_path, write_machine, small, n_clips):
    folder = write_machine(tmp_path, n_source=n_clips, n_target=0, n_test=1)
    assert FEWEST_TRAINING_CLIPS == 3
    with pytest.raises(DataError, match=rf"fan: {n_clips} training clip\(s\) of fan; at least 3 are needed"):
        check_training_clips(machine_of(folder), small())


def test_three_training_clips_are_enough(tmp_path, write_machine, small):
    check_training_clips(machine_of(write_machine(tmp_path, n_source=3, n_target=0)), small())


def test_a_training_clip_labelled_anomalous_is_refused_by_name(folder, small):
    name = "section_00_source_train_anomaly_0009.wav"
    first_clip(folder).rename(folder / "train" / name)
    with pytest.raises(DataError, match=rf"{name}: labelled anomalous"):
        check_training_clips(machine_of(folder), small())


def test_two_training_clips_of_one_name_are_refused_by_name(folder, small):
    first = first_clip(folder)
    soundfile.write(first.with_suffix(".flac"), noise(8_000), RATE)
    with pytest.raises(DataError, match=rf"{first.stem}.*the same name as .*{first.stem}"):
        check_training_clips(machine_of(folder), small())


def test_a_training_clip_recorded_too_slowly_is_refused_by_name(folder, small):
    soundfile.write(first_clip(folder), noise(8_000), 8_000)
    message = rf"{re.escape(first_clip(folder).name)}: recorded at 8000 Hz.*log_mel\.fmax"
    with pytest.raises(AudioError, match=message):
        check_training_clips(machine_of(folder), small())
    check_training_clips(machine_of(folder), small("conditional", "log_mel.fmax=4000"))


@pytest.mark.parametrize("content", [b"", b"no audio at all", b"RIFF\x24\x00\x00\x00WAVE"])
def test_a_training_clip_that_is_no_audio_is_refused_by_name(folder, small, content):
    first_clip(folder).write_bytes(content)
    with pytest.raises(AudioError, match=re.escape(str(first_clip(folder)))):
        check_training_clips(machine_of(folder), small())


def test_clips_are_read_in_the_order_of_their_names_as_log_mels(folder, small):
    found = clips_in(folder, small())
    assert [clip.path.name for clip in found.clips] == sorted(path.name for path in (folder / "train").iterdir())
    assert found.machine_type == "fan"
    assert found.notes == ()
    assert found.seconds > 0
    log_mel = LogMel(small().log_mel, sample_rate=RATE)
    for clip, spectrograms in zip(found.clips, found.spectrograms, strict=True):
        waveform = soundfile.read(clip.path, dtype="float32")[0]
        assert np.array_equal(spectrograms.input, log_mel(waveform))
        assert spectrograms.reference is spectrograms.input
    assert found.copies == ()
    assert found.separation_seconds == 0.0


def test_reading_reports_each_clip_once(folder, small):
    calls = []
    read(machine_of(folder), small(), advance=lambda: calls.append(1))
    assert len(calls) == 6


def test_clips_of_mixed_lengths_rates_and_formats_are_read(folder, small):
    paths = sorted((folder / "train").iterdir())
    soundfile.write(paths[0], noise(20_000), RATE)
    soundfile.write(paths[1], noise(44_100), 44_100)
    paths[2].unlink()
    soundfile.write(paths[2].with_suffix(".flac"), noise(4_096), RATE)
    frames = [clip.input.shape[-1] for clip in clips_in(folder, small()).spectrograms]
    assert frames == [1 + 20_000 // 256, 1 + 16_000 // 256, 1 + 4_096 // 256, 26, 26, 26]


def test_the_channel_of_the_settings_is_used(folder, small):
    for index, path in enumerate(sorted((folder / "train").iterdir())):
        soundfile.write(path, noise(8_000, n_channels=2, seed=index), RATE)
    left, right = (clips_in(folder, small("conditional", f"audio.channel={n}")).spectrograms for n in (0, 1))
    log_mel = LogMel(small().log_mel, sample_rate=RATE)
    for path, near, far in zip(sorted((folder / "train").iterdir()), left, right, strict=True):
        samples = soundfile.read(path, dtype="float32")[0].T.copy()
        assert np.array_equal(near.input, log_mel(samples[0]))
        assert np.array_equal(far.input, log_mel(samples[1]))


def test_a_clip_without_the_channel_is_refused_by_name(folder, small):
    with pytest.raises(AudioError, match=rf"{re.escape(str(folder))}.*: 1 channel\(s\); channel 1"):
        clips_in(folder, small("conditional", "audio.channel=1"))


def test_a_clip_that_cannot_be_read_to_its_end_is_refused_by_name(folder, small):
    path = first_clip(folder)
    path.write_bytes(path.read_bytes()[:3_000])
    with pytest.raises(AudioError, match=rf"{re.escape(str(path))}: truncated"):
        clips_in(folder, small())


def test_silent_clips_are_noted(folder, small):
    paths = sorted((folder / "train").iterdir())
    for path in paths[1:3]:
        soundfile.write(path, np.zeros(8_000), RATE)
    found = clips_in(folder, small())
    assert found.notes == (f"2 training clip(s) without any sound, not learned: {paths[1].name}",)
    assert {clip.path for clip in found.clips}.isdisjoint(paths[1:3])
    assert len(found.clips) == len(found.spectrograms) == len(found.conditions) == len(paths) - 2


def test_a_machine_whose_clips_hold_no_sound_is_refused_with_the_channel_that_does(folder, small):
    paths = sorted((folder / "train").iterdir())
    for path in paths[2:]:
        soundfile.write(path, np.stack([np.zeros(8_000), 0.1 * np.ones(8_000) * np.arange(8_000) % 2], axis=1), RATE)
    message = r"digital silence in channel 0, which is used, of 0 to 1; --set audio.channel=1 .* at least 3 that do"
    with pytest.raises(DataError, match=message):
        clips_in(folder, small())


def test_silence_of_another_channel_is_not_noted(folder, small):
    for path in (folder / "train").iterdir():
        soundfile.write(path, np.column_stack([noise(8_000)[:, 0], np.zeros(8_000)]), RATE)
    assert clips_in(folder, small()).notes == ()


def test_clips_shorter_than_a_segment_are_noted_where_there_are_segments(folder, small):
    path = first_clip(folder)
    soundfile.write(path, noise(6 * 256), RATE)  # 7 frames
    (note,) = clips_in(folder, small()).notes
    assert note == f"1 training clip(s) shorter than one segment of 8 frames, repeated to fill it: {path.name}"
    assert clips_in(folder, small("log-mel-knn")).notes == ()


def test_only_training_clips_are_read(tmp_path, write_machine, small):
    folder = write_machine(tmp_path, n_source=3, n_target=1, n_test=2)
    assert {clip.split for clip in clips_in(folder, small()).clips} == {"train"}


def test_a_machine_whose_clip_vanished_is_refused_by_name(folder, small):
    machine = machine_of(folder)
    gone = replace(machine.clips[0], path=folder / "gone.wav")
    with pytest.raises(AudioError, match=r"gone\.wav: no such file"):
        read(replace(machine, clips=(gone, *machine.clips[1:])), small())


# Separation


def log_mels_of(folder, separator, settings):
    """Log-mels of each training clip and of what is separated from it."""
    log_mel = LogMel(settings.log_mel, sample_rate=RATE)
    for path in sorted((folder / "train").iterdir()):
        waveform = soundfile.read(path, dtype="float32", always_2d=True)[0].T
        channel = waveform[settings.audio.channel :][:1].copy()
        yield log_mel(channel[0]), log_mel(separator.separate(channel)[0, 0])


@pytest.mark.parametrize("separation", ["augment", "denoise", "target=separated"])
@pytest.mark.parametrize("channel", [0, 1])
def test_a_clip_is_read_as_its_system_asks(folder, small, separator, separation, channel):
    for index, path in enumerate(sorted((folder / "train").iterdir())):
        soundfile.write(path, noise(6_000, n_channels=2, seed=index), RATE)
    settings = small("conditional", f"separation={separation}", f"audio.channel={channel}")
    found = clips_in(folder, settings, separator)
    expected = list(log_mels_of(folder, separator, settings))
    input_index, reference = {"augment": (0, 0), "denoise": (1, 1), "target=separated": (0, 1)}[separation]
    for clip, pair in zip(found.spectrograms, expected, strict=True):
        assert not np.array_equal(pair[0], pair[1])
        assert np.array_equal(clip.input, pair[input_index])
        assert np.array_equal(clip.reference, pair[reference])
    if separation == "augment":
        for copy, (_, separated) in zip(found.copies, expected, strict=True):
            assert np.array_equal(copy.input, separated)
            assert np.array_equal(copy.reference, separated)
    else:
        assert found.copies == ()


def test_the_time_of_separating_is_a_part_of_the_time_of_reading(folder, small, separator):
    found = clips_in(folder, small("conditional", "separation=augment"), separator)
    assert 0.0 < found.separation_seconds <= found.seconds


def test_silence_is_read_and_noted_where_it_is_separated(folder, small, separator):
    soundfile.write(first_clip(folder), np.zeros(8_000), RATE)
    found = clips_in(folder, small("conditional", "separation=denoise"), separator)
    assert found.notes == (f"1 training clip(s) without any sound, not learned: {first_clip(folder).name}",)
    assert all(np.isfinite(clip.reference).all() for clip in found.spectrograms)


def test_a_clip_too_loud_to_be_separated_is_refused_by_name(folder, small, separator):
    soundfile.write(first_clip(folder), 1e18 * noise(160_000), RATE, subtype="FLOAT")
    clips_in(folder, small())  # the power of a frame does not overflow, that of the whole clip does
    with pytest.raises(AudioError, match=re.escape(str(first_clip(folder)))):
        clips_in(folder, small("conditional", "separation=denoise"), separator)


@pytest.mark.parametrize("separation", ["off", "augment", "denoise", "target=separated"])
def test_what_a_cache_kept_is_the_same_and_not_computed_again(tmp_path, folder, small, separator, separation):
    settings = small("conditional", f"separation={separation}")
    through = None if separation == "off" else separator
    cache = LogMelCache(tmp_path / "kept")
    machine = machine_of(folder)
    first = read(machine, settings, through, cache=cache)
    for clip in machine.train:  # the same size and time of change: only a reader that opens it sees the difference
        status = clip.path.stat()
        clip.path.write_bytes(bytes(status.st_size))
        os.utime(clip.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = read(machine, settings, through, cache=cache)
    assert len(first.copies) == len(again.copies) == (len(machine.train) if separation == "augment" else 0)
    for before, after in zip((*first.spectrograms, *first.copies), (*again.spectrograms, *again.copies), strict=True):
        assert np.array_equal(before.input, after.input)
        assert np.array_equal(before.reference, after.reference)
    assert again.separation_seconds == 0.0


def test_a_cache_is_shared_by_systems_with_the_same_log_mels_and_by_no_others(tmp_path, folder, small, separator):
    cache = LogMelCache(tmp_path / "kept")
    machine = machine_of(folder)
    for settings, through, n_kept in (
        (small("log-mel-knn"), None, 6),
        (small("conditional"), None, 6),
        (small("conditional", "separation=augment"), separator, 12),
        (small("log-mel-knn", "separation=denoise"), separator, 12),
        (small("log-mel-knn", "log_mel.n_mels=8"), None, 18),
    ):
        read(machine, settings, through, cache=cache)
        assert len(list(cache.folder.iterdir())) == n_kept

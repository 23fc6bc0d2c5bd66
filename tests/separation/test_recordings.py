"""Recordings of any kind become machine and noise in files, and one that cannot be used does not stop the others."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundness.errors import DataError, OutputError
from soundness.separation.recordings import separate
from soundness.settings.system import AudioSettings

RATE = 16_000


def noise(n_samples=8_000, *, n_channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((n_samples, n_channels))


def write(path, samples, *, rate=RATE, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **options)
    return path


def read(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def separated(separator, out):
    def separated(*paths, **options):
        return separate(separator, paths, out, **options)

    return separated


def test_names_below_the_folder_are_kept(separated, tmp_path, out):
    for name in ("a.wav", "deep/b.wav", "deep/er/a.wav"):
        write(tmp_path / "in" / name, noise())
    (tmp_path / "in" / "notes.txt").write_text("mine")
    report = separated(tmp_path / "in")
    assert names(out) == ["machine/a.wav", "machine/deep/b.wav", "machine/deep/er/a.wav"]
    assert (report.n_separated, report.seconds) == (3, 1.5)
    assert report.failures == report.notes == ()


def test_machine_and_noise_add_up_to_the_recording(separated, separator, tmp_path, out):
    path = write(tmp_path / "x.wav", noise(), subtype="FLOAT")
    separated(path, has_noise=True)
    assert names(out) == ["machine/x.wav", "noise/x.wav"]
    parts = [read(out / kind / "x.wav") for kind in ("machine", "noise")]
    np.testing.assert_allclose(sum(parts), read(path), atol=1e-6)
    np.testing.assert_array_equal(np.stack(parts)[..., 0], separator.separate(read(path).T)[:, 0])
    assert np.abs(parts[0]).max() > 0.0
    assert not np.allclose(parts[0], parts[1])


def test_the_channels_are_separated_one_by_one(separated, separator, tmp_path, out):
    samples = noise(n_channels=3)
    separated(write(tmp_path / "x.wav", samples, subtype="FLOAT"))
    found = read(out / "machine" / "x.wav")
    assert found.shape == (8_000, 3)
    for index in range(3):
        alone = separator.separate(samples[:, index].astype(np.float32)[None])[0, 0]
        np.testing.assert_allclose(found[:, index], alone, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_a_recording_of_another_rate_is_written_at_that_of_the_separator_and_said(separated, tmp_path, out, rate):
    path = write(tmp_path / "x.wav", noise(rate // 2), rate=rate)
    report = separated(path)
    info = soundfile.info(out / "machine" / "x.wav")
    assert (info.samplerate, info.frames) == (RATE, RATE // 2)
    assert report.notes == (f"{path}: {rate} Hz; written at 16000 Hz",)
    assert report.seconds == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".WAV", ".aiff"])
def test_any_format_gives_wav_without_a_loss(separated, tmp_path, out, suffix):
    report = separated(write(tmp_path / f"x{suffix}", noise()))
    assert report.n_separated == 1
    assert names(out) == ["machine/x.wav"]
    assert soundfile.info(out / "machine" / "x.wav").subtype == "FLOAT"


@pytest.mark.parametrize("n_samples", [1, 2, 100, 511])
def test_a_very_short_recording_goes_through(separated, tmp_path, out, n_samples):
    path = write(tmp_path / "x.wav", noise(n_samples), subtype="FLOAT")
    separated(path, has_noise=True)
    np.testing.assert_allclose(read(out / "machine" / "x.wav") + read(out / "noise" / "x.wav"), read(path), atol=1e-6)


def test_tables_are_separated_with_their_rate_and_columns(separated, separator, tmp_path, out):
    left, right = noise(n_channels=2).T
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in" / "a.npz", left=left, right=right)
    assert "a.npz: states no sample rate; --rate HZ says it" in separated(tmp_path / "in").failures[0]
    report = separated(tmp_path / "in", audio=AudioSettings(rate=RATE, columns=("right",)))
    assert (report.n_separated, report.seconds) == (1, 0.5)
    machine, _ = separator.separate(right[None].astype(np.float32))
    np.testing.assert_allclose(read(out / "machine" / "a.wav"), machine.T, atol=1e-4)


def test_silence_stays_silent(separated, tmp_path, out):
    separated(write(tmp_path / "x.wav", np.zeros(8_000)), has_noise=True)
    for kind in ("machine", "noise"):
        found = read(out / kind / "x.wav")
        assert len(found) == 8_000
        np.testing.assert_allclose(found, 0.0, atol=1e-6)


@pytest.mark.parametrize("gain", [1e-6, 30.0])
def test_quiet_loud_and_clipped_recordings_are_finite_and_as_loud_as_they_were(separated, tmp_path, out, gain):
    clipped = np.clip(gain * noise(), -1.0, 1.0)
    path = write(tmp_path / "x.wav", clipped, subtype="FLOAT")
    separated(path, has_noise=True)
    parts = read(out / "machine" / "x.wav"), read(out / "noise" / "x.wav")
    assert np.isfinite(parts).all()
    np.testing.assert_allclose(sum(parts), read(path), atol=1e-5 * np.abs(clipped).max())


def test_a_recording_longer_than_a_chunk_keeps_its_length(separated, tmp_path, out):
    path = write(tmp_path / "x.wav", noise(65 * RATE), subtype="FLOAT")
    separated(path, has_noise=True)
    parts = read(out / "machine" / "x.wav"), read(out / "noise" / "x.wav")
    np.testing.assert_allclose(sum(parts), read(path), atol=1e-5)


# What cannot be used


BROKEN = ("empty", "text", "cut", "nan", "zero", "cut.flac")


def write_broken(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound\n" * 50)
    path = write(folder / "cut.wav", noise())
    path.write_bytes(path.read_bytes()[:4_000])
    samples = noise(40 * RATE)  # what comes before it has been separated and written already
    samples[-100] = np.nan
    write(folder / "nan.wav", samples, subtype="FLOAT")
    write(folder / "zero.wav", np.zeros(0))
    path = write(folder / "cut.flac", noise())
    path.write_bytes(path.read_bytes()[:4_000])
    return [folder / name for name in ("cut.flac", "cut.wav", "empty.wav", "nan.wav", "text.wav", "zero.wav")]


def test_a_recording_that_cannot_be_used_is_reported_and_all_others_are_separated(separated, tmp_path, out):
    bad = write_broken(tmp_path / "in" / "bad")
    write(tmp_path / "in" / "a.wav", noise())
    write(tmp_path / "in" / "z.wav", noise())
    (tmp_path / "in" / "bad" / "cut.wav").rename(tmp_path / "in" / "bad" / "short.wav")
    report = separated(tmp_path / "in", has_noise=True)
    assert report.n_separated == 2
    assert report.seconds == 1.0
    expected = sorted(str(path).replace("cut.wav", "short.wav") for path in bad)
    assert sorted(line.partition(": ")[0] for line in report.failures) == expected
    assert all("\n" not in line for line in report.failures)
    assert names(out) == ["machine/a.wav", "machine/z.wav", "noise/a.wav", "noise/z.wav"]  # no .partial among them


def test_where_nothing_can_be_used_all_are_failures(separated, tmp_path, out):
    bad = write_broken(tmp_path / "in")
    (tmp_path / "in" / "cut.wav").unlink()  # of the name that cut.flac would be written under
    report = separated(tmp_path / "in")
    assert (report.n_separated, report.seconds) == (0, 0.0)
    assert len(report.failures) == len(bad) - 1
    assert names(out) == []


def test_a_recording_too_short_for_a_sample_at_the_rate_of_the_separator_is_a_failure(separated, tmp_path, out):
    path = write(tmp_path / "x.wav", noise(1), rate=192_000)
    report = separated(path)
    assert report.n_separated == 0
    assert report.failures[0].startswith(f"{path}: 0 samples at 16000 Hz")
    assert names(out) == []


@pytest.mark.parametrize(("name", "message"), [("none.wav", "no such file"), ("folder", "nothing to separate")])
def test_nothing_to_separate_is_refused(separated, tmp_path, out, name, message):
    (tmp_path / "folder").mkdir()
    if name == "none.wav":
        report = separated(tmp_path / name)
        assert message in report.failures[0]
    else:
        with pytest.raises(DataError, match=message):
            separated(tmp_path / name)
    assert not out.exists()


@pytest.mark.parametrize(("name", "message"), [("none", "no such file or folder"), ("x.txt", "not a recording")])
def test_a_path_that_is_no_recording_is_refused_by_name(separated, tmp_path, out, name, message):
    (tmp_path / "x.txt").write_text("mine")
    good = write(tmp_path / "good.wav", noise())
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / name}: {message}")):
        separated(good, tmp_path / name)
    assert not out.exists()


def test_no_paths_at_all_are_refused(separated):
    with pytest.raises(DataError, match="nothing to separate"):
        separated()


@pytest.mark.parametrize("other", ["b/x.wav", "a/x.flac"])
def test_two_recordings_of_one_name_are_refused(separated, tmp_path, out, other):
    first, second = write(tmp_path / "a" / "x.wav", noise()), write(tmp_path / other, noise())
    with pytest.raises(DataError, match=f"{re.escape(str(second))}: the same name as {re.escape(str(first))}"):
        separated(first, second)
    assert not out.exists()


def test_a_recording_that_is_given_twice_is_separated_once(separated, tmp_path):
    path = write(tmp_path / "in" / "x.wav", noise())
    assert separated(path.parent, path, str(path)).n_separated == 1


# Where results go


@pytest.mark.parametrize("has_noise", [False, True])
def test_results_are_not_replaced_unasked(separated, tmp_path, out, has_noise):
    path = write(tmp_path / "x.wav", noise())
    kind = "noise" if has_noise else "machine"
    write(out / kind / "x.wav", np.zeros(5))
    with pytest.raises(OutputError, match=rf"{kind}/x\.wav: exists already; --overwrite replaces it"):
        separated(path, has_noise=has_noise)
    assert names(out) == [f"{kind}/x.wav"]
    assert len(read(out / kind / "x.wav")) == 5
    separated(path, has_noise=has_noise, overwrite=True)
    assert len(read(out / kind / "x.wav")) == 8_000


def test_results_of_other_recordings_stay(separated, tmp_path, out):
    write(out / "machine" / "other.wav", np.zeros(5))
    separated(write(tmp_path / "x.wav", noise()), overwrite=True)
    assert names(out) == ["machine/other.wav", "machine/x.wav"]


def test_a_recording_that_fails_leaves_an_earlier_result_as_it_was(separated, tmp_path, out):
    (tmp_path / "x.wav").write_text("no sound")
    write(out / "machine" / "x.wav", np.zeros(5))
    assert separated(tmp_path / "x.wav", overwrite=True).n_separated == 0
    assert len(read(out / "machine" / "x.wav")) == 5


def test_a_file_in_the_place_of_the_folder_is_refused(separated, tmp_path, out):
    out.write_text("mine")
    with pytest.raises(OutputError, match=r"out: is a file; a folder for the separation is expected"):
        separated(write(tmp_path / "x.wav", noise()))
    assert out.read_text() == "mine"


def test_a_recording_may_be_replaced_by_what_was_separated_from_it(separated, separator, out):
    path = write(out / "machine" / "x.wav", noise(), subtype="FLOAT")
    expected = separator.separate(read(path).T)[0].T
    separated(path, overwrite=True)
    np.testing.assert_array_equal(read(path), expected)


def test_progress_is_told_of_each_recording_damaged_or_not(separated, tmp_path):
    write_broken(tmp_path / "in")
    (tmp_path / "in" / "cut.flac").unlink()
    calls = []
    separated(tmp_path / "in", progress=lambda *what: calls.append(what))
    assert calls == [(n, 5) for n in range(1, 6)]


# Memory


SEPARATE = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from soundness.separation.saving import load_separator
from soundness.separation.recordings import separate
from soundness.settings.system import AudioSettings
file, path, out = map(Path, sys.argv[1:])
assert separate(load_separator(file), [path], out, has_noise=True).n_separated == 1
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) / 1024)  # MiB; what getrusage gives begins with the peak of the parent
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path):
    # 12 minutes stand for an hour, which takes minutes: what grew with the length would show in the first ten already.
    from soundness.separation.saving import save_separator

    save_separator(untrained(), tmp_path / "s.soundness")
    # Buffers go back to the system once they are free; else the peak is up to 60 MiB higher, by how glibc reuses them.
    returning = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
    peaks = []
    for minutes in (2, 12):
        path = tmp_path / f"{minutes}.wav"
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for minute in range(minutes):
                file.write(noise(60 * RATE, seed=minute))
        arguments = [str(tmp_path / "s.soundness"), str(path), str(tmp_path / "out")]
        done = subprocess.run(
            [sys.executable, "-c", SEPARATE, *arguments], env=returning, check=True, capture_output=True, text=True
        )
        peaks.append(float(done.stdout))
        assert soundfile.info(tmp_path / "out" / "machine" / path.name).frames == minutes * 60 * RATE
        shutil.rmtree(tmp_path / "out")
    assert peaks[1] < 1024
    assert peaks[1] < peaks[0] + 30  # a copy of one waveform in float32 would be 37


def untrained():
    """A separator of the default size: its weights are random, its memory is that of a trained one."""
    from soundness.separation.conv_tasnet import ConvTasNet
    from soundness.separation.separator import Separator, SeparatorSummary
    from soundness.settings.separation import SeparatorSettings

    summary = SeparatorSummary(
        seed=0,
        machine_types=(),
        n_clips={},
        n_parameters=0,
        n_steps=0,
        seconds=0.0,
        improvements=(),
        notes=(),
        versions={},
    )
    return Separator(ConvTasNet(SeparatorSettings()), settings=SeparatorSettings(), summary=summary)

"""Recordings that differ from those of the training in form: rate, level, channel, gaps. Nothing of it is a fault."""

import re

import numpy as np
import pytest
import soundfile
import soxr

from soundness.audio.measures import Measurement, measure_clip
from soundness.detectors.bulk_scoring import score
from soundness.detectors.exported import ExportedDetector
from soundness.detectors.form import Measuring, RecordingForm
from soundness.detectors.saving import load_detector
from soundness.exporting.write import export_detector
from soundness.files.stored_values import stored_value
from soundness.regular_files import open_regular
from soundness.reports.explained_clip import explain_recording
from soundness.reports.explanation_page import write_explanation
from soundness.settings.loading import load_settings
from soundness.training.run import train

RATE = 16_000
SETTINGS = load_settings("soundness")


def machine(seed, *, rate=RATE, fault=0.0, seconds=2.0):
    """Hum, tones and noise up to half the rate; a fault is a tone of 2.3 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * hz * time + rng.uniform(0, 6)) * rng.uniform(0.9, 1.1) for hz in (48, 388, 776))
    spectrum = np.fft.rfft(rng.standard_normal(len(time))) / np.hypot(1, np.fft.rfftfreq(len(time), 1 / rate) / 800)
    noise = np.fft.irfft(spectrum, len(time))
    found = 0.02 * (tones + 0.3 * noise / noise.std() + fault * np.sin(2 * np.pi * 2_300 * time))
    return found.astype(np.float32)


def steeply_resampled(sound):
    """From 48 to 16 kHz with all that lies below 7.9 kHz, as by another resampler than soundness uses."""
    spectrum = np.fft.rfft(sound.astype(np.float64))[: len(sound) // 6 + 1]
    hz = np.fft.rfftfreq(len(sound), 1 / 48_000)[: len(spectrum)]
    spectrum *= np.clip((7_980 - hz) / 100, 0, 1)
    return (np.fft.irfft(spectrum, len(sound) // 3) / 3).astype(np.float32)


def measures(*channels, rate=RATE):
    measurement = Measurement(rate)
    measurement.add(np.stack(channels, axis=1).astype(np.float32))
    return measurement.result()


def form_of(*recordings, rate=RATE):
    return RecordingForm.from_measures([measures(one, rate=rate) for one in recordings], channel=0)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """Detector of 16-kHz recordings that were made from 48 kHz."""
    folder = tmp_path_factory.mktemp("form")
    for seed in range(25):
        sound = steeply_resampled(machine(seed, rate=48_000))
        (folder / "pump").mkdir(exist_ok=True)
        soundfile.write(folder / "pump" / f"{seed:02d}.wav", sound, RATE, subtype="FLOAT")
    train(folder / "pump", folder / "run", system="soundness")
    return load_detector(folder / "run" / "pump.soundness")


def scored(detector, folder, sounds, rate=RATE):
    found = []
    for index, sound in enumerate(sounds):
        path = folder / f"{index:02d}.wav"
        soundfile.write(path, sound, rate, subtype="FLOAT")
        found.append(detector.score_recording(path))
    return found


def test_the_form_of_the_training_is_kept_with_a_detector(detector):
    assert detector.form.sample_rates == (RATE,)
    assert detector.form.n_recordings == 25
    assert stored_value(RecordingForm, detector.form.plain(), name="form") == detector.form


def test_recordings_of_another_rate_are_judged_by_what_can_be_compared(detector, tmp_path):
    own = scored(detector, tmp_path, [steeply_resampled(machine(seed, rate=48_000)) for seed in range(100, 110)])
    other = scored(detector, tmp_path, [machine(seed, rate=48_000) for seed in range(100, 110)], 48_000)
    assert sum(one.decision for one in own) <= 3
    assert sum(one.decision for one in other) <= 3
    assert all(one.cannot_tell == "" for one in other)
    assert "recorded at 48,000 Hz, the training at 16,000 Hz: they can be compared up to 7,200 Hz" in other[0].notes[0]
    faulty = scored(detector, tmp_path, [machine(seed, rate=48_000, fault=0.2) for seed in range(5)], 48_000)
    assert all(one.verdict == "anomalous" for one in faulty)


def test_recordings_whose_highest_bands_passed_one_filter_are_alike():
    form = form_of(machine(0, rate=48_000), rate=48_000)
    assert form.comparable_hz(44_100, used_rate=RATE) == float("inf")
    assert form.comparable_hz(16_000, used_rate=RATE) == 7_200.0
    assert form.comparable_hz(11_025, used_rate=RATE) == pytest.approx(0.9 * 11_025 / 2)


def test_an_export_cannot_tell_where_rates_differ(detector, tmp_path):
    export_detector(detector, tmp_path / "export")
    exported = ExportedDetector.load(tmp_path / "export" / "pump.onnx")
    (other,) = scored(exported, tmp_path, [machine(100, rate=48_000)], 48_000)
    assert other.verdict == "cannot tell"
    assert "--set log_mel.fmax=7200" in other.cannot_tell
    (own,) = scored(exported, tmp_path, [steeply_resampled(machine(100, rate=48_000))])
    assert own.cannot_tell == ""


@pytest.mark.parametrize("gain_db", [-80, 40])
def test_a_gain_in_training_and_test_and_an_offset_change_no_score(detector, tmp_path, gain_db):
    sounds = [steeply_resampled(machine(seed, rate=48_000)) for seed in range(25)]
    gain = 10 ** (gain_db / 20)
    (tmp_path / "pump").mkdir()
    for index, sound in enumerate(sounds):
        soundfile.write(tmp_path / "pump" / f"{index:02d}.wav", gain * (sound + 0.01), RATE, subtype="FLOAT")
    (quiet,) = train(tmp_path / "pump", tmp_path / "run", system="soundness")
    test = steeply_resampled(machine(100, rate=48_000))
    (expected,), (found,) = scored(detector, tmp_path, [test]), scored(quiet, tmp_path, [gain * test])
    assert quiet.threshold.value == pytest.approx(detector.threshold.value, abs=0.01)
    assert found.anomaly_score == pytest.approx(expected.anomaly_score, abs=0.01)


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (np.zeros(2 * RATE), "digital silence"),
        (np.full(2 * RATE, 0.1), "constant: all samples are equal"),
        (machine(1) * (np.arange(2 * RATE) > 1.5 * RATE), "zeros for 1.5 s at 0.00 s"),
    ],
)
def test_a_recording_without_sound_is_neither_normal_nor_anomalous(detector, tmp_path, sound, reason):
    (found,) = scored(detector, tmp_path, [sound])
    assert found.verdict == "cannot tell"
    assert reason in found.cannot_tell


def test_a_change_of_level_beyond_the_training_is_named(detector, tmp_path):
    sound = steeply_resampled(machine(100, rate=48_000))
    ordinary, loud = scored(detector, tmp_path, [sound, 3 * sound])
    assert ordinary.notes == ()
    assert any("dB louder than the loudest recording of the training: the gain" in note for note in loud.notes)


def test_an_anomaly_that_is_a_change_of_level_alone_is_called_one(detector, tmp_path):
    loud = 2 * steeply_resampled(machine(100, rate=48_000))
    (found,) = scored(detector, tmp_path, [loud])
    assert found.verdict == "anomalous"
    assert re.match(r"all bands [567] dB louder: the gain", detector.reason(tmp_path / "00.wav"))
    (found,) = scored(detector, tmp_path, [2 * steeply_resampled(machine(100, rate=48_000, fault=0.3))])
    assert "all bands" not in detector.reason(tmp_path / "00.wav")


def test_what_is_usual_in_the_training_is_not_said_of_each_recording():
    clipped = [np.clip(machine(seed), -0.03, 0.03) for seed in range(4)]
    (note,) = form_of(machine(0), machine(1)).difference(measures(clipped[3]), SETTINGS).notes
    assert note.startswith("clipped")
    assert form_of(*clipped[:3]).difference(measures(clipped[3]), SETTINGS).notes == ()


def test_an_open_input_beside_a_microphone_cannot_be_judged():
    noise = 1e-5 * np.random.default_rng(0).standard_normal(2 * RATE)
    form = RecordingForm.from_measures([measures(noise, machine(0))] * 3, channel=0)
    found = form.difference(measures(noise, machine(1)), SETTINGS)
    assert "--set audio.channel=1" in found.cannot_tell
    assert form_of(machine(0)).difference(measures(machine(1), 0.1 * machine(2)), SETTINGS).cannot_tell == ""


def test_notes_of_one_kind_are_one_line_with_an_example(detector, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for seed in range(4):
        sound = soxr.resample(machine(seed + 100, rate=48_000), 48_000, 32_000)
        soundfile.write(folder / f"{seed}.wav", (4 + seed) * sound, 32_000, subtype="FLOAT")
    lines = score({"pump": detector}, [folder]).warnings
    assert len(lines) == 2
    assert all(line.startswith(f"{folder / '0.wav'}: ") for line in lines)
    assert all(line.endswith("(and 3 more recordings of pump)") for line in lines)


def encoded(folder, sound, **coding):
    path = folder / f"x.{coding.pop('suffix', 'wav')}"
    soundfile.write(path, sound, RATE, **coding)
    return path


@pytest.mark.parametrize(
    ("coding", "name"),
    [({"subtype": "PCM_U8"}, "8-bit"), ({"suffix": "mp3"}, "MP3")],
)
def test_what_a_coding_changes_is_not_taken_for_a_fault(detector, tmp_path, coding, name):
    path = encoded(tmp_path, steeply_resampled(machine(100, rate=48_000)), **coding)
    found = detector.score_recording(path)
    assert (found.decision, found.verdict) == (1, "cannot tell")
    assert f"coded as {name}, the training recordings as 16 bits or more" in found.cannot_tell
    export_detector(detector, tmp_path / "export")
    exported = ExportedDetector.load(tmp_path / "export" / "pump.onnx")
    assert exported.score_recording(path).verdict == "cannot tell"


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "DOUBLE"])
def test_codings_that_keep_the_sound_are_alike(detector, tmp_path, subtype):
    faulty = steeply_resampled(machine(100, rate=48_000, fault=0.3))
    assert detector.score_recording(encoded(tmp_path, faulty, subtype=subtype)).verdict == "anomalous"
    assert detector.score_recording(encoded(tmp_path, faulty, suffix="flac")).verdict == "anomalous"


@pytest.mark.parametrize("value", [0.0, 0.02])
def test_a_recording_with_a_gap_is_judged_by_its_longest_part_without_one(detector, tmp_path, value):
    normal, faulty = (steeply_resampled(machine(100, rate=48_000, fault=fault)) for fault in (0.0, 0.4))
    for sound in (normal, faulty):
        sound[round(0.3 * RATE) : round(0.9 * RATE)] = value
    export_detector(detector, tmp_path / "export")
    for own in (detector, ExportedDetector.load(tmp_path / "export" / "pump.onnx")):
        found, other = scored(own, tmp_path, [normal, faulty])
        assert (found.verdict, other.verdict) == ("normal", "anomalous")
        assert any("for 0.6 s at 0.30 s" in note for note in found.notes)
        assert any(note == "judged from 00:00.92 to 00:02, its longest part without a gap" for note in found.notes)
        assert found.judged == other.judged == pytest.approx((0.92, 2.0), abs=0.01)


def test_the_reason_of_a_recording_with_a_gap_is_of_the_part_that_was_judged(detector, tmp_path):
    faulty = steeply_resampled(machine(100, rate=48_000, fault=0.4))
    faulty[round(0.3 * RATE) : round(0.9 * RATE)] = 0.0
    scored(detector, tmp_path, [faulty])
    export_detector(detector, tmp_path / "export")
    exported = ExportedDetector.load(tmp_path / "export" / "pump.onnx")
    reasons = [own.score_and_reason(tmp_path / "00.wav")[1] for own in (detector, exported)]
    exported._detector = None  # as of a network, whose parts an export does not carry
    for reason in (*reasons, exported.score_and_reason(tmp_path / "00.wav")[1]):
        assert "a tone near 2.3 kHz" in reason
        assert "drops" not in reason
        assert "0.3 s" not in reason
    explained = explain_recording(detector, tmp_path / "00.wav", normal=None)
    assert (explained.start_seconds, explained.seconds) == pytest.approx((0.92, 1.08), abs=0.02)
    assert "Hz" in explained.sentences[0]
    assert "drops" not in " ".join(explained.sentences)
    write_explanation(explained, tmp_path / "why.html")
    words = re.sub(r"<[^>]*>", " ", (tmp_path / "why.html").read_text())
    assert re.search(r"shown\s+from 00:00\.92 to 00:02", words)


def test_gaps_all_over_a_recording_are_no_fault(detector, tmp_path):
    sound = steeply_resampled(machine(100, rate=48_000))
    sound[np.arange(len(sound)) % 1_600 < 600] = 0.0
    (found,) = scored(detector, tmp_path, [sound])
    assert (found.decision, found.verdict) == (1, "cannot tell")
    assert "gaps are 36 % of it" in found.cannot_tell


def test_an_offset_that_settles_is_no_fault(detector, tmp_path):
    sound = steeply_resampled(machine(100, rate=48_000))
    (found,) = scored(detector, tmp_path, [sound + 0.5 * np.exp(-np.arange(len(sound)) / RATE / 0.5)])
    assert (found.decision, found.verdict) == (1, "cannot tell")
    assert found.cannot_tell.startswith("an offset that wanders, ")


def test_training_on_recordings_of_several_codings_is_named(tmp_path):
    for seed in range(8):
        path = encoded(
            tmp_path, steeply_resampled(machine(seed, rate=48_000)), subtype="PCM_16" if seed % 2 else "ULAW"
        )
        path.rename(tmp_path / f"{seed}.wav")
    (found,) = train(tmp_path, tmp_path / "run", system="soundness")
    assert found.form.codings == ("", "µ-law")
    assert any(
        "of different codings (16 bits or more, µ-law), which change the sound" in note for note in found.summary.notes
    )


@pytest.mark.parametrize("seconds", [3.0, 40.0])
def test_a_recording_is_measured_while_it_is_scored(detectors, tmp_path, monkeypatch, seconds):
    detector, path = detectors["log-mel-knn"], tmp_path / "two_channels.wav"
    sound = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * RATE), 2))
    sound[1_000:3_000] = 0.0
    soundfile.write(path, sound, RATE)
    opened = []

    def counted(path):
        opened.append(path)
        return open_regular(path)

    monkeypatch.setattr("soundness.audio.decoding.open_regular", counted)
    measuring = Measuring(path, audio=detector.audio, max_seconds=None)
    assert list(detector.windows(path, observer=measuring.begin))
    found = measuring.result()
    assert opened == [path]
    assert found == measure_clip(path, audio=detector.audio)
    assert found.channels[0].longest_gap is not None
    opened.clear()
    detector.score_recording(path)
    assert opened == [path]


def test_a_part_of_a_recording_is_measured_on_its_own(detectors, tmp_path):
    detector, path = detectors["log-mel-knn"], tmp_path / "a.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(40 * RATE), RATE)
    measuring = Measuring(path, audio=detector.audio, max_seconds=2.0)
    assert list(detector.windows(path, max_seconds=2.0, observer=measuring.begin))
    assert measuring.result() == measure_clip(path, max_seconds=2.0, audio=detector.audio)

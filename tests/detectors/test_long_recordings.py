"""Long recordings are scored in windows, short ones by clips of their length, in training, scoring and exports."""

import csv
import dataclasses

import numpy as np
import pytest
import soundfile

import soundness
from soundness.detectors.exported import load_exports
from soundness.detectors.saving import load_detector, save_detector
from soundness.detectors.verdicts.judge import Judge
from soundness.detectors.verdicts.records import ScoredPart
from soundness.exporting.write import TOLERANCE
from soundness.reports.explanation import explain
from soundness.scoring.decisions.calibration import Calibration
from soundness.scoring.decisions.clip_lengths import ClipLengths

RATE = 8_000
N_MELS = 24
OVERRIDES = (
    "audio.sample_rate=8000",
    "log_mel.fmax=4000",
    "log_mel.n_fft=512",
    "log_mel.hop_length=256",
    f"log_mel.n_mels={N_MELS}",
)


def machine(seconds, seed, *, fault=()):
    """A hum with noise; with a whistle from the first to the second time of ``fault``."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    hum = sum(np.sin(2 * np.pi * hz * time + rng.uniform(0, 6)) * (1 + 0.1 * rng.standard_normal()) for hz in (50, 150))
    found = 0.05 * (hum + 0.3 * (1 + 0.1 * rng.standard_normal()) * rng.standard_normal(len(time)))
    if fault:
        here = (time >= fault[0]) & (time < fault[1])
        found[here] += 0.01 * np.sin(2 * np.pi * 2_300 * time[here])
    return found.astype(np.float32)


def write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with 30 normal clips of four seconds in ``pump/normal`` and the run of a detector of them in ``run``."""
    root = tmp_path_factory.mktemp("site")
    for seed in range(30):
        write(root / "pump" / "normal" / f"n{seed:02d}.wav", machine(4, seed))
    soundness.train(root / "pump", root / "run", system=soundness.load_settings(overrides=OVERRIDES))
    return root


@pytest.fixture(scope="module")
def detector(site):
    return load_detector(site / "run" / "pump.soundness")


@pytest.fixture(scope="module")
def long_recording(site):
    """A minute with a fault from 40 s to 44 s."""
    return write(site / "long" / "fault.wav", machine(60, 1_000, fault=(40, 44)))


def test_a_fault_of_one_clip_is_found_in_a_recording_of_fifteen(detector, long_recording):
    found = detector.score_recording(long_recording)
    assert found.verdict == "anomalous"
    assert found.most_anomalous.start_seconds == 40.0
    assert str(found.most_anomalous) == "from 00:40 to 00:44"
    assert [window.start_seconds for window in found.windows] == [2.0 * index for index in range(29)]
    assert {window.start_seconds for window in found.windows if window.decision == 1} <= {38.0, 40.0, 42.0}
    assert found.threshold > detector.threshold.value


def test_a_window_scores_as_a_file_of_the_same_samples_does(detector, long_recording, tmp_path):
    samples = soundfile.read(long_recording, dtype="float32")[0]
    for window in detector.score_recording(long_recording).windows[::7]:
        start = round(window.start_seconds * RATE)
        cut = write(tmp_path / "cut.wav", samples[start : start + 4 * RATE])
        assert detector.score_recording(cut).anomaly_score == window.anomaly_score


def test_a_score_comes_with_the_reason_of_its_window(detector, long_recording, tmp_path):
    found, reason = detector.score_and_reason(long_recording)
    assert found == detector.score_recording(long_recording)
    assert reason == f"from 00:40 to 00:44: {detector.reason(long_recording, start_seconds=40.0)}"
    assert reason != f"from 00:40 to 00:44: {detector.reason(long_recording)}"
    fault = write(tmp_path / "fault.wav", machine(4, 1_100, fault=(0, 4)))
    assert detector.score_and_reason(fault) == (detector.score_recording(fault), detector.reason(fault))
    assert detector.score_and_reason(write(tmp_path / "fine.wav", machine(4, 1_101)))[1] == ""


def test_normal_recordings_of_any_length_keep_the_promise(detector, tmp_path):
    for seconds in (4, 9, 24):
        clips = [write(tmp_path / f"{seconds}_{seed}.wav", machine(seconds, 2_000 + seed)) for seed in range(40)]
        n_flagged = sum(detector.score_recording(clip).verdict == "anomalous" for clip in clips)
        assert n_flagged <= 10, seconds  # 4 are promised, as a mean over training sets


def test_the_length_of_a_clip_can_be_chosen(site, tmp_path):
    settings = soundness.load_settings(overrides=[*OVERRIDES, "audio.clip_seconds=2"])
    (detector,) = soundness.train(site / "pump", tmp_path / "run", system=settings)
    assert detector.lengths.clip_seconds == 2.0
    assert detector.calibration.n_clips == {"": 60}
    assert any("30 training recording(s) longer than 2 s cut into 60 clips" in note for note in detector.summary.notes)
    assert len(detector.score_recording(site / "pump" / "normal" / "n00.wav").windows) == 3


def test_one_long_recording_trains_as_its_clips_in_files_do(site, tmp_path):
    parts = [machine(4, 3_000 + seed) for seed in range(16)]
    write(tmp_path / "long" / "normal" / "day.wav", np.concatenate(parts))
    for index, part in enumerate(parts):
        write(tmp_path / "short" / "normal" / f"{index:02d}.wav", part)
    settings = soundness.load_settings(overrides=[*OVERRIDES, "audio.clip_seconds=4", "dependence=ignore"])
    (long,) = soundness.train(tmp_path / "long", tmp_path / "run_long", system=settings)
    (short,) = soundness.train(tmp_path / "short", tmp_path / "run_short", system=settings)
    assert long.normal_clips.names[:3] == ("normal/day.wav @ 00:00", "normal/day.wav @ 00:04", "normal/day.wav @ 00:08")
    assert np.array_equal(long.calibration.scores[""], short.calibration.scores[""])
    probe = site / "pump" / "normal" / "n00.wav"
    assert long.score_recording(probe).anomaly_score == short.score_recording(probe).anomaly_score


def test_a_system_with_a_network_is_scored_in_windows_too(detectors, tmp_path):
    def recording(seconds):
        path = tmp_path / f"{seconds}.wav"
        soundfile.write(path, 0.1 * np.random.default_rng(9).standard_normal(round(seconds * 16_000)), 16_000)
        return path

    detector = detectors["conditional"]  # of clips of 0.4 s
    assert [window.start_seconds for window in detector.score_recording(recording(1.0)).windows] == [0.0, 0.2, 0.4, 0.6]
    short = detector.score_recording(recording(0.3))
    assert short.verdict == "cannot tell"
    assert short.cannot_tell.startswith("0.3 s long; the detector learned clips of 0.4 s")
    assert detector.score_recording(recording(0.37)).cannot_tell == ""


def test_short_recordings_are_flagged_at_the_rate_or_not_decided(detector, tmp_path):
    assert detector.lengths.short_seconds == (2.0, 1.0)
    for seconds in (4.0, 2.5, 2.0, 1.3, 1.0):
        clips = [write(tmp_path / f"{seconds}_{seed}.wav", machine(seconds, 4_000 + seed)) for seed in range(20)]
        found = [detector.score_recording(clip) for clip in clips]
        assert not any(one.cannot_tell for one in found)
        assert sum(one.verdict == "anomalous" for one in found) <= 5, seconds
        fault = detector.score_recording(write(tmp_path / "fault.wav", machine(seconds, 5_000, fault=(0, 9))))
        assert fault.verdict == "anomalous", seconds
    brief = detector.score_recording(write(tmp_path / "brief.wav", machine(0.9, 4_000)))
    assert brief.verdict == "cannot tell"
    assert brief.cannot_tell.startswith("0.9 s long; the detector learned clips of 4.0 s")


def test_lengths_survive_the_file(detector, long_recording, tmp_path):
    save_detector(detector, tmp_path / "pump.soundness")
    loaded = load_detector(tmp_path / "pump.soundness")
    short = write(tmp_path / "short.wav", machine(2.5, 6_000))
    for recording in (long_recording, short):
        assert loaded.score_recording(recording) == detector.score_recording(recording)


def test_an_export_judges_recordings_of_any_length_as_its_detector_does(site, detector, long_recording, tmp_path):
    soundness.export(site / "run", tmp_path / "export")
    (exported,) = load_exports(tmp_path / "export").values()
    lengths = {seconds: write(tmp_path / f"{seconds}.wav", machine(seconds, 7_000)) for seconds in (0.9, 1.3, 2.5, 9)}
    for recording in (long_recording, *lengths.values()):
        expected, found = detector.score_recording(recording), exported.score_recording(recording)
        assert found.anomaly_score == pytest.approx(expected.anomaly_score, abs=TOLERANCE)
        assert (found.threshold, found.verdict, found.cannot_tell) == (
            expected.threshold,
            expected.verdict,
            expected.cannot_tell,
        )
        assert found.p_value == pytest.approx(expected.p_value, rel=1e-4)
        assert [window.start_seconds for window in found.windows] == [w.start_seconds for w in expected.windows]


def test_the_windows_of_long_recordings_are_a_table(site, long_recording, tmp_path):
    whole = write(tmp_path / "clips" / "short.wav", machine(4, 8_000))
    report = soundness.score(site / "run", [long_recording, whole], tmp_path / "out")
    with (tmp_path / "out" / "windows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows} == {str(long_recording)}
    assert [float(row["start_seconds"]) for row in rows] == [2.0 * index for index in range(29)]
    highest = max(rows, key=lambda row: float(row["score"]))
    assert (highest["start_seconds"], highest["anomalous"]) == ("40.000", "1")
    (row,) = [row for row in report.rows if row.path == long_recording]
    assert row.reason.startswith("from 00:40 to 00:44: ")
    soundness.score(site / "run", [whole], tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "windows.csv").exists()


def test_a_long_recording_is_explained_by_its_most_anomalous_window(site, long_recording, tmp_path):
    found = explain(site / "run", long_recording, tmp_path / "page")
    assert found.sentences[-1] == "The most anomalous part is explained: from 00:40 to 00:44."
    page = found.page.read_text(encoding="utf-8")
    assert "scores of the windows over time" in page
    assert "from 00:40 to 00:44" in page


def test_the_nearest_part_of_a_long_normal_recording_is_shown(tmp_path, small):
    parts = [machine(2, seed) for seed in range(12)]
    write(tmp_path / "pump" / "normal" / "day.wav", np.concatenate(parts))
    settings = small("log-mel-whitened", "audio.sample_rate=8000", "log_mel.fmax=4000", "audio.clip_seconds=2")
    soundness.train(tmp_path / "pump", tmp_path / "run", system=settings)
    probe = write(tmp_path / "probe.wav", parts[5])
    found = explain(tmp_path / "run", probe, tmp_path / "page", normal=tmp_path / "pump" / "normal")
    assert "day.wav @ 00:10" in found.page.read_text(encoding="utf-8")
    assert not any("is not found" in note for note in found.notes)


def test_silence_within_a_long_recording_is_named_and_hides_no_fault(detector, tmp_path):
    samples = machine(40, 9_000, fault=(20, 24))
    samples[: 8 * RATE] = 0.0
    found = detector.score_recording(write(tmp_path / "gap.wav", samples))
    assert found.verdict == "anomalous"
    decisions = {window.start_seconds: window.decision for window in found.windows}
    assert [decisions[start] for start in (0.0, 2.0, 4.0)] == [0, 0, 0]
    assert decisions[20.0] == 1
    assert any(note.startswith("digital silence: 3 of 19 windows, the first from 00:00 on") for note in found.notes)


def test_a_judge_without_lengths_or_calibration_has_one_threshold():
    parts = [ScoredPart(start_seconds=5.0 * i, seconds=10.0, anomaly_score=score) for i, score in enumerate((0.1, 2.0))]
    judge = Judge(threshold=1.0, false_alarm_rate=0.1, calibration=None, lengths=None)
    found = judge.judge(parts)
    assert (found.anomaly_score, found.threshold, found.decision, found.p_value) == (2.0, 1.0, 1, None)
    calibration = Calibration.from_scores({"": np.linspace(0, 1, 20)}, origin="fresh")
    lengths = ClipLengths(clip_seconds=10.0, full_seconds=9.0)
    strict = dataclasses.replace(judge, calibration=calibration, lengths=lengths)
    assert strict.judge(parts).threshold >= 1.0
    assert strict.judge([dataclasses.replace(parts[0], seconds=3.0)]).verdict == "cannot tell"


def test_neighbours_in_a_long_training_recording_are_left_out_together(tmp_path):
    write(tmp_path / "long" / "normal" / "day.wav", np.concatenate([machine(4, 3_000 + seed) for seed in range(16)]))
    plain = [
        "scorer.whitening=none",
        "scorer.is_standardised=false",
        "scorer.anomaly_width=0",
        "scorer.outlier_exponent=0",
        "scorer.name=fused",
        "scorer.peaks=[]",
    ]
    for name, dependence in (("alone", "ignore"), ("together", "find")):
        settings = soundness.load_settings(
            overrides=[*OVERRIDES, "audio.clip_seconds=4", f"dependence={dependence}", "screening=keep", *plain]
        )
        soundness.train(tmp_path / "long", tmp_path / name, system=settings)
    alone, together = (load_detector(tmp_path / name / "long.soundness") for name in ("alone", "together"))
    assert (alone.calibration.n_clips, together.calibration.n_clips) == ({"": 16}, {"": 16})
    nearest = [
        detector.scorer.scorers[0].left_out for detector in (alone, together)
    ]  # not whitened: of the clips alone
    assert (nearest[1] >= nearest[0]).all()
    assert (nearest[1] > nearest[0]).any()  # a neighbour was the nearest


def test_a_long_normal_recording_calibrates_as_its_clips_do(detector, tmp_path):
    day = np.concatenate([machine(4, 10_000 + seed) for seed in range(12)])
    fresh = soundness.calibrate(detector, [write(tmp_path / "day.wav", day)])
    assert fresh.calibration.n_clips == {"": 12}
    assert sorted(fresh.lengths.short) == [1.0, 2.0]
    assert fresh.lengths.short[1.0].n_clips == {"": 12}
    assert fresh.score_recording(write(tmp_path / "short.wav", machine(1.5, 11_000))).verdict == "normal"


def test_a_long_recording_of_a_new_condition_is_enrolled_clip_by_clip(detector, tmp_path):
    day = np.concatenate([1.5 * machine(4, 12_000 + seed) for seed in range(6)])
    found = soundness.enroll(detector, [write(tmp_path / "day.wav", day)], condition="fast", force=True)
    assert len(found.clips) == 6
    assert found.detector.normal_clips.names[-1].endswith("day.wav @ 00:20")
    assert found.detector.score_recording(write(tmp_path / "short.wav", machine(1.5, 0))).verdict == "cannot tell"


def test_drift_is_measured_on_the_clips_of_a_long_recording(detector, tmp_path):
    day = np.concatenate([machine(4, 13_000 + seed) for seed in range(8)])
    assert soundness.drift(detector, [write(tmp_path / "day.wav", day)]).n_clips == 8


def test_a_long_recording_with_gaps_is_judged_by_its_windows_without_any(detector, tmp_path):
    normal, faulty = machine(60, 700), machine(60, 700, fault=(40, 50))
    for samples in (normal, faulty):
        samples[10 * RATE : 13 * RATE] = 0.0
        samples[25 * RATE : 26 * RATE] = 0.02
    found, other = (detector.score_recording(write(tmp_path / "a.wav", each)) for each in (normal, faulty))
    assert (found.verdict, other.verdict) == ("normal", "anomalous")
    assert any("zeros for 3 s at 10.00 s" in note for note in found.notes)
    assert any(note.startswith("judged by its windows without a gap, ") for note in found.notes)
    assert 38 <= other.most_anomalous.start_seconds <= 50
    normal[5 * RATE : 50 * RATE : 50] = 0.0
    for start in range(5, 58, 3):
        normal[start * RATE : (start + 1) * RATE] = 0.0
    found = detector.score_recording(write(tmp_path / "a.wav", normal))
    assert (found.verdict, found.decision) == ("cannot tell", 1)

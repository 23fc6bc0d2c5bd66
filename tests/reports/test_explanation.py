"""`explain` finds a tone that was added, and refuses in one line what it cannot explain."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from command_line import refusal, soundness
from monitored import RATE, TONE_HZ, write_fan
from soundness.detectors.saving import load_detector, save_detector
from soundness.reports.explained_clip import explain_recording
from soundness.reports.explanation import explain


def test_a_tone_is_found_where_and_when_it_was_added(workshop, anomalous_clip):
    explained = explain(workshop / "run", anomalous_clip, workshop / "why")
    (first, *_) = explained.sentences
    assert "dB above normal, from 0.6 s to 1.4 s" in first
    detector = load_detector(workshop / "run" / "fan.soundness")
    region = explain_recording(detector, anomalous_clip, normal=None).regions[0]
    assert region.fmin < TONE_HZ < region.fmax
    ((start, end),) = region.spans
    assert start == pytest.approx(0.6, abs=0.06)
    assert end == pytest.approx(1.4, abs=0.06)
    assert region.share > 0.5
    assert explained.score.verdict == "anomalous"


def test_silence_another_rate_and_ten_times_the_length_are_explained(workshop, tmp_path):
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(RATE), RATE)
    explained = explain(workshop / "run", silence, tmp_path / "why")
    assert explained.score.verdict == "cannot tell"
    assert explained.sentences == ("Digital silence: all samples are zero.",)
    resampled = write_fan(tmp_path / "fast", tone=(0.6, 1.4), rate=44_100)
    assert "dB above normal, from 0.6 s to 1.4 s" in explain(workshop / "run", resampled, tmp_path / "why").sentences[0]
    long = write_fan(tmp_path / "long", tone=(30, 30.5), seconds=40.0)
    explained = explain(workshop / "run", long, tmp_path / "why")
    assert explained.score.verdict == "anomalous"
    window = explained.score.most_anomalous
    assert window.start_seconds < 30.5 < window.start_seconds + window.seconds + 0.5
    assert explained.sentences[-1] == f"The most anomalous part is explained: {window}."
    assert "from 30.0 s to 30.5 s" in explained.sentences[0]
    page = explained.page.read_text(encoding="utf-8")
    assert len(page) < 1_000_000


def test_what_cannot_be_explained_is_refused_in_one_line(workshop, anomalous_clip, tmp_path):
    run, out = workshop / "run", tmp_path / "why"
    short, text = tmp_path / "short.wav", tmp_path / "text.wav"
    soundfile.write(short, np.zeros(100), RATE)
    text.write_text("no sound")
    assert "short.wav: 100 samples" in refusal("explain", run, short, "--out", out)
    assert "text.wav: " in refusal("explain", run, text, "--out", out)
    assert "nowhere.wav: " in refusal("explain", run, tmp_path / "nowhere.wav", "--out", out)
    assert f"{tmp_path}: " in refusal("explain", run, tmp_path, "--out", out)
    assert "no such folder" in refusal("explain", run, anomalous_clip, "--out", out, "--normal", tmp_path / "nowhere")
    assert "is a file" in refusal("explain", run, anomalous_clip, "--out", short)
    assert "no detector of 'pump'" in refusal("explain", run, anomalous_clip, "--out", out, "--machine", "pump")
    several = tmp_path / "run"
    for machine in ("fan", "pump"):
        detector = replace(load_detector(run / "fan.soundness"), machine_type=machine)
        save_detector(detector, several / f"{machine}.soundness")
    message = refusal("explain", several, anomalous_clip, "--out", out)
    assert "detectors of fan, pump; choose one with --machine" in message
    assert not out.exists()
    assert soundness("explain", several, anomalous_clip, "--out", out, "--machine", "pump").exit_code == 0
    assert sorted(path.suffix for path in out.iterdir()) == [".html", ".png"]

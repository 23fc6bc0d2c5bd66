"""New recordings are read and scored as the detector does it, and refused by name where they cannot be used."""

import os
from threading import active_count

import numpy as np
import pytest
import soundfile

from monitored import RATE, hum, hum_at, record
from soundness.data.datasets import list_clips
from soundness.detectors.bulk_scoring import score_clip
from soundness.errors import AudioError, DataError
from soundness.monitoring.new_clips import concatenate_clips, independent, read_new_clips, without_copies


def test_new_clips_have_the_scores_of_the_detector_in_their_order(calibrated, tmp_path):
    detector, paths = calibrated[0], [record(tmp_path / f"{seed}.wav", seed) for seed in range(100, 107)]
    done = []
    new = read_new_clips(detector, list_clips(paths[::-1]), progress=lambda *counts: done.append(counts))
    assert [each.clip.path for each in new] == paths[::-1]
    assert [each.score for each in new] == [score_clip(detector, path) for path in paths[::-1]]
    assert done == [(count, 7) for count in range(1, 8)]


def test_few_recordings_are_read_at_once(calibrated, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    paths, before, n_threads = [record(tmp_path / f"{seed}.wav", seed) for seed in range(20)], active_count(), []
    read_new_clips(calibrated[0], list_clips(paths), progress=lambda *_: n_threads.append(active_count() - before))
    assert max(n_threads) <= 2


def test_statistics_of_several_clips_are_those_of_each(calibrated, tmp_path):
    paths = [record(tmp_path / f"{seed}.wav", seed) for seed in range(100, 103)]
    new = read_new_clips(calibrated[0], list_clips(paths))
    together = concatenate_clips(new, domain="monday")
    assert together.domain_names == ("monday",)
    assert np.array_equal(together.means, np.concatenate([each.statistics.means for each in new]))


def test_what_cannot_be_used_is_refused_by_name(calibrated, tmp_path):
    with pytest.raises(DataError, match="no recordings; expected normal ones"):
        read_new_clips(calibrated[0], [])
    silent = hum_at(tmp_path / "silent.wav", 900, 1, gain=0.0)
    with pytest.raises(AudioError, match=r"silent\.wav: digital silence; expected the sound of a machine"):
        read_new_clips(calibrated[0], list_clips([silent]))
    two = hum_at(tmp_path / "two.wav", 900, 1, n_channels=2)
    with pytest.raises(AudioError, match=r"two\.wav: 2 channel\(s\); the normal clips of this detector have 1"):
        read_new_clips(calibrated[0], list_clips([two]))


def test_recordings_of_another_form_are_named_with_an_example(calibrated, tmp_path):
    detector = calibrated[0]
    paths = [tmp_path / f"{seed}.wav" for seed in range(100, 104)]
    for seed, path in enumerate(paths, start=100):
        soundfile.write(path, hum(seed), RATE, subtype="ULAW" if seed % 2 else "PCM_16")
    new = read_new_clips(detector, list_clips(paths))
    for notes in (independent(detector, new).notes, without_copies(detector, new)[1]):
        assert notes[0].startswith("2 of 4 clips are unlike those of the training in form, which is no change of the")
        assert "e.g. 101.wav: coded as µ-law, the training recordings as 16 bits or more" in notes[0]
    assert not any("unlike" in note for note in independent(detector, new[::2]).notes)

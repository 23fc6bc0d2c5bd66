"""The graph of each system's detector gives the scores of the detector, and parts that cannot be exported are named."""

from dataclasses import replace

import numpy as np
import pytest

from soundness.data.finding import list_audio
from soundness.detectors.exported import ExportedDetector
from soundness.errors import ExportError
from soundness.exporting.write import TOLERANCE, export_detector
from soundness.representations.statistics import MeanLogMel
from soundness.settings.loading import load_settings, system_names

EXPORTED = [name for name in system_names() if load_settings(name).representation != "discriminative-embedding"]


@pytest.mark.parametrize("system", EXPORTED)
def test_each_system_scores_recordings_as_its_export_does(system, detectors, fan, tmp_path):
    detector = detectors[system]
    made = export_detector(detector, tmp_path, check=[fan / "test"])
    assert made.n_clips == len(list_audio(fan / "test"))
    assert made.largest_difference <= TOLERANCE
    own = ExportedDetector.load(made.graph)
    for clip in list_audio(fan / "test"):
        waveform = own.read(clip)
        expected, answer = detector.score(waveform[None]), own.run(waveform)
        assert answer.scores[0] == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert answer.p_values[0] == detector.p_value(expected)
        np.testing.assert_allclose(answer.error_maps[0], detector.error_map(waveform[None]), rtol=1e-3, atol=1e-3)


def test_a_detector_that_separates_takes_its_separator_along(separating_detector, fan, tmp_path):
    made = export_detector(separating_detector, tmp_path, check=[fan / "test"])
    assert made.n_clips > 0
    assert ExportedDetector.load(made.graph).about["separation"] == "denoise"


def test_a_part_that_cannot_be_exported_is_named(detectors, tmp_path):
    class Loudness(MeanLogMel):
        """A part of somebody's own."""

    detector = detectors["log-mel-knn"]
    own = detector.representation
    changed = replace(detector, representation=Loudness(mean=own.mean, deviation=own.deviation))
    with pytest.raises(
        ExportError, match=r"the representation .*Loudness cannot be exported; what can be is MeanLogMel"
    ):
        export_detector(changed, tmp_path)
    assert not list(tmp_path.iterdir())

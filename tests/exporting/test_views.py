"""Views of a clip in a graph are those of NumPy, of short clips and long ones, noise, tones and silence."""

import numpy as np
import pytest

from further_views import joined_settings, machine_noise, modulated, with_knocks, with_tone
from onnx_graphs import run_graph
from soundness.audio.log_mel import LogMel
from soundness.audio.spectra.clip_spectra import ClipSpectra
from soundness.exporting.graph import Graph
from soundness.exporting.views import event_outputs, falls, modulation, rises, tones
from soundness.representations.views.events import EventFilters
from soundness.representations.views.modulation import modulation_features
from soundness.representations.views.tones import ToneView, tone_features

RATE = 16_000
AT_48_KHZ = ("audio.sample_rate=48000", "log_mel.n_fft=3072", "log_mel.hop_length=1536", "log_mel.fmax=24000")
SYSTEMS = [
    (),
    AT_48_KHZ,
    ("audio.sample_rate=4000", "log_mel.n_fft=256", "log_mel.hop_length=128", "log_mel.fmax=2000"),
]


def sounds(n_samples):
    noise = machine_noise(1, seconds=n_samples / RATE)[:n_samples]
    return np.stack(
        [noise, 1e-4 * with_tone(noise, 1_000.0, size=0.3), modulated(noise, 30.0), np.zeros(n_samples), 0.1 * noise]
    ).astype(np.float32)


@pytest.mark.parametrize("overrides", SYSTEMS, ids=["16 kHz", "48 kHz", "4 kHz"])
@pytest.mark.parametrize("n_samples", [1_024, 9_000, 40_001])
def test_modulation_and_tones_are_exact_in_a_graph(overrides, n_samples):
    settings = joined_settings(*overrides)
    spectra, view = ClipSpectra(settings), ToneView(settings)
    graph = Graph()
    sound = graph.input("sound", np.float32, ["clip", "time"])
    graph.output("modulation", modulation(sound, settings), np.float64, ["clip", 640])
    graph.output("tones", tones(sound, settings, view), np.float64, ["clip", view.size])
    clips = sounds(n_samples)
    found = run_graph(graph, sound=clips)
    details = [spectra(clip) for clip in clips]
    np.testing.assert_allclose(found[0], [modulation_features(own.envelopes) for own in details], atol=5e-3)
    np.testing.assert_allclose(found[1], [tone_features(own.long_spectra, view.bins) for own in details], atol=5e-3)


@pytest.mark.parametrize("n_frames", [1, 2, 33, 200])
def test_events_and_dropouts_are_exact_in_a_graph(n_frames):
    log_mel = LogMel(joined_settings().log_mel, sample_rate=RATE)
    filters, _ = EventFilters.fit([log_mel(machine_noise(seed).astype(np.float32)) for seed in range(4)])
    assert len(filters.durations) == 6
    graph = Graph()
    outputs = event_outputs(filters, graph.input("log_mel", np.float32, ["clip", 128, "frame"]))
    graph.output("rises", rises(outputs), np.float64, ["clip", filters.size])
    graph.output("falls", falls(outputs), np.float64, ["clip", filters.size])
    clip = with_knocks(machine_noise(9, seconds=7), [0.3, 2.0]).astype(np.float32)
    clips = np.stack([log_mel(clip)[:, :n_frames], log_mel(clip[::-1].copy())[:, :n_frames]])
    found = run_graph(graph, log_mel=clips)
    expected = [filters.extremes(one) for one in clips]
    np.testing.assert_allclose(found[0], [one[0] for one in expected], atol=1e-5)
    np.testing.assert_allclose(found[1], [one[1] for one in expected], atol=1e-5)

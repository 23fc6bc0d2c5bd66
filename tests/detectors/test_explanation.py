"""An explanation points at what was made odd, adds up to what it says, and says it in words."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from command_line import refusal, soundness
from soundness.audio.log_mel import band_centres
from soundness.detectors.explanation import explain_clip, smoothed
from soundness.detectors.reader import read_recording
from soundness.detectors.saving import load_detector, save_detector
from soundness.monitoring.enrolment import enrol
from soundness.reports.anomalous_regions import AnomalousRegion, find_parts, hertz, strongest_band, strongest_second
from soundness.reports.explained_clip import explain_recording
from soundness.reports.explanation import explain
from soundness.representations.statistics import MeanLogMel
from soundness.settings.loading import system_names

RATE = 16_000
TONE_HZ = 3_000


def write_fan(folder, *, tone=None, seconds=2.0, rate=RATE, seed=1):
    """A fan in noise, with a tone between two seconds where one is asked for."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.02 * np.sqrt(rate / RATE) * rng.standard_normal(len(time)) + 0.1 * np.sin(2 * np.pi * 400 * time)
    if tone is not None:
        samples += 0.05 * np.sin(2 * np.pi * TONE_HZ * time) * ((time >= tone[0]) & (time < tone[1]))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"clip_{seed:03d}.wav"
    soundfile.write(path, samples, rate)
    return path


@pytest.fixture(scope="module")
def workshop(tmp_path_factory, small):
    """Normal clips of two seconds, and a detector of them."""
    from soundness.training.run import train

    root = tmp_path_factory.mktemp("workshop")
    for seed in range(12):
        write_fan(root / "fan" / "normal", seed=100 + seed)
    settings = small("log-mel-whitened", "log_mel.n_mels=32")
    train(root / "fan", root / "run", system=settings)
    return root


@pytest.fixture(scope="module")
def odd_clip(workshop):
    return write_fan(workshop / "fan" / "test", tone=(0.6, 1.4))


def test_a_tone_is_found_where_and_when_it_was_added(workshop, odd_clip):
    explained = explain(workshop / "run", odd_clip, workshop / "why")
    (first, *_) = explained.sentences
    assert "dB above normal, from 0.6 s to 1.4 s" in first
    detector = load_detector(workshop / "run" / "fan.soundness")
    part = explain_recording(detector, odd_clip, normal=None).parts[0]
    assert part.fmin < TONE_HZ < part.fmax
    ((start, end),) = part.spans
    assert start == pytest.approx(0.6, abs=0.06)
    assert end == pytest.approx(1.4, abs=0.06)
    assert part.share > 0.5
    assert explained.verdict.startswith("Anomalous")


def test_shares_of_the_default_scorer_add_up_to_the_squared_distance(workshop, odd_clip):
    detector = load_detector(workshop / "run" / "fan.soundness")
    clip = detector.spectrograms(read_recording(odd_clip, detector.settings))
    explanation = explain_clip(detector, clip)
    vector = clip.reference.mean(axis=-1).astype(np.float64)
    bank = detector.scorer.bank
    distances = np.linalg.norm(bank.whitened - vector @ bank.whitening, axis=1)
    assert explanation.total == pytest.approx(distances.min() ** 2, rel=1e-6)
    assert explanation.shares.sum() == pytest.approx(explanation.total)
    assert explanation.shares.min() >= 0
    assert explanation.nearest[0] == distances.argmin()
    assert "squared distance, whitened, from the nearest normal clip" in explanation.meaning


def test_the_map_is_measured_from_the_nearest_normal_clip(workshop, odd_clip):
    detector = load_detector(workshop / "run" / "fan.soundness")
    clip = detector.spectrograms(read_recording(odd_clip, detector.settings))
    explanation = explain_clip(detector, clip)
    name = detector.normal_clips.names[explanation.nearest[0]]
    assert name.startswith("normal/clip_1")
    normal = detector.spectrograms(read_recording(workshop / "fan" / name, detector.settings)).reference.mean(axis=-1)
    excess = clip.reference - normal[:, None]
    np.testing.assert_allclose(explanation.excess_db, excess, atol=1e-3)
    scale = detector.representation.deviation[:, None]
    np.testing.assert_allclose(explanation.deviations, excess / scale, atol=1e-3)


@pytest.mark.parametrize("system", system_names())
def test_every_system_is_explained_and_says_what_its_shares_are(detectors, fan, system):
    detector = detectors[system]
    path = next((fan / "test").glob("*anomaly*"))
    explained = explain_recording(detector, path, normal=None)
    explanation = explained.explanation
    assert explanation.shares.shape == explanation.log_mel.shape == explanation.deviations.shape
    assert explanation.shares.sum() == pytest.approx(explanation.total)
    assert explained.anomaly_score == detector.score(read_recording(path, detector.settings))
    if system == "baseline-mse":
        assert explanation.total == pytest.approx(explained.anomaly_score)
        assert explanation.meaning == "parts of the score: they add up to it"
        assert "mean log-mel" in explanation.nearest_by
    if system in ("conditional", "baseline-mse"):
        clip = detector.spectrograms(read_recording(path, detector.settings))
        if not detector.settings.autoencoder.is_overlapping:
            errors = detector.representation.error_map(clip)
            np.testing.assert_allclose(np.square(explanation.deviations), errors, rtol=1e-4, atol=1e-6)
    assert explained.nearest.name in detector.normal_clips.names
    assert 1 <= len(explained.parts) <= 2


def test_a_scorer_and_a_representation_that_tell_nothing_of_bands_are_explained_by_the_error_map(detectors, fan):
    class Silent:
        def from_arrays(self):
            """Not used."""

        def vectors(self, clip):
            return np.ones((1, 3)) * clip.reference.mean()

        def error_map(self, clip):
            return np.abs(clip.reference - clip.reference.mean())

    detector = detectors["log-mel-knn"]
    path = next((fan / "test").glob("*anomaly*"))
    clip = detector.spectrograms(read_recording(path, detector.settings))

    class Deaf(type(detector.scorer)):
        def nearest(self, vectors, n_clips):  # noqa: ARG002  # as all scorers
            return np.zeros(1, np.int64)

    changed = replace(
        detector,
        representation=Silent(), scorer=Deaf(detector.scorer.bank, left_out=detector.scorer.left_out,
                                             settings=detector.scorer.settings)
    )  # fmt: skip
    explanation = explain_clip(changed, clip)
    assert explanation.excess_db is None
    np.testing.assert_allclose(explanation.bands, changed.representation.error_map(clip).mean(axis=1), rtol=1e-5)
    assert explanation.meaning.startswith("not parts of the score")


def test_views_of_a_clip_are_added_band_by_band(detectors, fan):
    class Twice(MeanLogMel):
        def vectors(self, clip):
            return np.tile(super().vectors(clip), 2)

    detector = detectors["log-mel-knn"]
    bank = detector.scorer.bank
    path = next((fan / "test").glob("*anomaly*"))
    clip = detector.spectrograms(read_recording(path, detector.settings))
    once = explain_clip(detector, clip)
    assert "views" not in once.meaning
    doubled = type(bank).from_arrays({**bank.arrays(), "own": np.tile(bank.own, (1, 2))}, detector.settings.scorer)
    scorer = type(detector.scorer)(doubled, left_out=detector.scorer.left_out, settings=detector.settings.scorer)
    representation = Twice(mean=detector.representation.mean, deviation=detector.representation.deviation)
    twice = explain_clip(replace(detector, representation=representation, scorer=scorer), clip)
    np.testing.assert_allclose(twice.bands, 2 * once.bands)
    assert "of 2 views of the clip together" in twice.meaning


def test_normal_clips_survive_the_file_and_older_files_do_without_them(workshop, odd_clip, tmp_path):
    detector = load_detector(workshop / "run" / "fan.soundness")
    kept = detector.normal_clips
    assert len(kept.names) == len(kept.means) == 12
    assert kept.nearest(kept.means[3] + 0.001, 2)[0] == 3
    assert kept.joined(kept).names[12:] == kept.names
    older = replace(detector, normal_clips=None)
    save_detector(older, tmp_path / "older.soundness")
    explained = explain_recording(load_detector(tmp_path / "older.soundness"), odd_clip, normal=None)
    assert explained.nearest is None
    assert any("did not remember its clips" in note for note in explained.notes)
    assert explained.explanation.normality == "the mean of all training frames"
    assert explained.parts[0].fmin < TONE_HZ < explained.parts[0].fmax


def test_the_nearest_recording_is_found_by_name_and_checked_by_ear(workshop, odd_clip, tmp_path):
    detector = load_detector(workshop / "run" / "fan.soundness")
    elsewhere = tmp_path / "moved.wav"
    elsewhere.write_bytes(odd_clip.read_bytes())
    assert "is not found beside the clip; --normal" in explain_recording(detector, elsewhere, normal=None).notes[0]
    found = explain_recording(detector, elsewhere, normal=workshop)
    assert found.notes == ()
    assert found.nearest.log_mel.shape[0] == 32
    impostor = tmp_path / "normal" / found.nearest.name.rpartition("/")[2]
    impostor.parent.mkdir()
    impostor.write_bytes(odd_clip.read_bytes())
    other = explain_recording(detector, elsewhere, normal=tmp_path)
    assert other.nearest is None
    assert "not the one that is remembered" in other.notes[0]


def test_a_training_clip_is_told_to_be_one(workshop):
    detector = load_detector(workshop / "run" / "fan.soundness")
    explained = explain_recording(detector, workshop / "fan" / "normal" / "clip_103.wav", normal=None)
    assert any("this very clip" in note for note in explained.notes)
    assert explained.sentences == ("Nothing in it differs from what is normal.",)


def test_an_enrolled_clip_that_is_the_nearest_has_its_name_and_its_recording(workshop, odd_clip, tmp_path):
    detector = load_detector(workshop / "run" / "fan.soundness")
    later = tmp_path / "later" / "monday.wav"
    later.parent.mkdir()
    samples, rate = soundfile.read(odd_clip)
    soundfile.write(later, 0.97 * samples, rate)
    enrolled = enrol(detector, [later], condition="b", is_forced=True).detector
    explained = explain_recording(enrolled, odd_clip, normal=tmp_path)
    assert explained.nearest.name == "later/monday.wav"
    assert explained.notes == ()


def test_the_separated_machine_sound_is_what_is_explained(separating_detector, fan):
    path = next((fan / "test").glob("*anomaly*"))
    explained = explain_recording(separating_detector, path, normal=None)
    waveform = read_recording(path, separating_detector.settings)
    np.testing.assert_array_equal(explained.machine_sound, separating_detector.separator.separate(waveform)[0, 0])
    assert explained.nearest is not None


# -- parts and words -------------------------------------------------------------------------------------------------


FRAME = 0.02
CENTRES = np.linspace(100, 6_300, 63)  # every 100 Hz


def odd_map(bands, spans, *, amount=10.0, noise=0.3):
    """A map of 63 bands and 10 s in which some bands lie above normal at some times."""
    values = noise * np.random.default_rng(0).standard_normal((63, 500))
    for start, end in spans:
        values[bands, round(start / FRAME) : round(end / FRAME)] += amount
    return values


def parts_of(values):
    shares = np.square(values.mean(axis=1))[:, None] * np.full((1, 500), 1 / 500)
    return find_parts(shares, values, odd=values, centres=CENTRES, frame_seconds=FRAME)


@pytest.mark.parametrize(
    ("bands", "spans", "amount", "words"),
    [
        (30, [(0, 10)], 9, "a tone near 3.1 kHz, 9 dB above normal, all the time"),
        (30, [(2, 4.5)], 9, "a tone near 3.1 kHz, 9 dB above normal, from 2.0 s to 4.5 s"),
        (0, [(0, 10)], 12, "a hum near 100 Hz, 12 dB above normal, all the time"),
        (slice(9, 20), [(0, 10)], -6, "a band from 950 Hz to 2.0 kHz, 6 dB below normal, all the time"),
        (slice(2, 60), [(1, 3), (6, 8)], 8, "broad-band sound from 250 Hz to 6.0 kHz, 8 dB above normal, from 1.0 s to 3.0 s and from 6.0 s to 8.0 s"),  # noqa: E501  # one sentence
        (30, [(t, t + 0.24) for t in range(1, 9)], 20, "a tone near 3.1 kHz, 20 dB above normal, in 8 short events from 1.0 s to 8.2 s, one every 1.0 s"),  # noqa: E501  # likewise
    ],
)  # fmt: skip
def test_parts_are_told_in_plain_words(bands, spans, amount, words):
    part = parts_of(odd_map(bands, spans, amount=amount))[0]
    assert str(part) == words


def test_what_merely_fluctuates_is_there_all_the_time():
    values = odd_map(30, [(0, 10)], amount=3.0, noise=2.0)
    assert parts_of(values)[0].spans == ()


def test_two_parts_do_not_overlap_and_come_in_order():
    values = odd_map(10, [(0, 10)], amount=4.0) + odd_map(40, [(0, 10)], amount=7.0)
    first, second = parts_of(values)
    assert first.bands[0] <= 40 <= first.bands[1]
    assert second.bands[0] <= 10 <= second.bands[1]
    assert 1.0 >= first.share > second.share > 0


def test_nothing_odd_has_no_parts():
    zeros = np.zeros((63, 500))
    assert find_parts(zeros, zeros, odd=zeros, centres=CENTRES, frame_seconds=FRAME) == []


def test_a_part_whose_level_is_not_known_is_told_without():
    part = AnomalousRegion((3, 3), 1_000.0, 950.0, 1_050.0, (), None, 0.5, True)
    assert str(part) == "a tone near 1.0 kHz, all the time"


def test_the_strongest_band_and_second_are_those_with_the_largest_share():
    shares = np.full((63, 500), 1e-3)
    shares[20, 300:350] = 1.0
    assert strongest_band(shares) == 20
    assert strongest_second(shares, frame_seconds=FRAME) == pytest.approx(6.49)
    assert strongest_second(shares[:, :10], frame_seconds=FRAME) == pytest.approx(0.09)


def test_frequencies_have_two_digits_that_count():
    assert [hertz(value) for value in (52.3, 437.0, 996.0, 3_140.0)] == ["52 Hz", "440 Hz", "1.0 kHz", "3.1 kHz"]


@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 99])
def test_smoothing_is_the_mean_of_the_frames_around(n_frames):
    values = np.random.default_rng(0).standard_normal((2, 7))
    size = min(n_frames, 7)
    for frame in range(7):
        around = values[:, max(0, frame - size // 2) : min(7, frame - size // 2 + size)]
        np.testing.assert_allclose(smoothed(values, n_frames)[:, frame], around.mean(axis=1))


# -- bad input -------------------------------------------------------------------------------------------------------


def test_silence_another_rate_and_ten_times_the_length_are_explained(workshop, tmp_path):
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(RATE), RATE)
    explained = explain(workshop / "run", silence, tmp_path / "why")
    assert "digital silence" in explained.notes
    assert "below normal" in explained.sentences[0]
    resampled = write_fan(tmp_path / "fast", tone=(0.6, 1.4), rate=44_100)
    assert "dB above normal, from 0.6 s to 1.4 s" in explain(workshop / "run", resampled, tmp_path / "why").sentences[0]
    long = write_fan(tmp_path / "long", tone=(30, 32), seconds=40.0)
    explained = explain(workshop / "run", long, tmp_path / "why")
    assert "from 30.0 s to 32.0 s" in explained.sentences[0]
    page = explained.page.read_text(encoding="utf-8")
    assert "this clip (30 of 40 s, from 10 s)" in page
    assert len(page) < 1_000_000


def test_what_cannot_be_explained_is_refused_in_one_line(workshop, odd_clip, tmp_path):
    run, out = workshop / "run", tmp_path / "why"
    short, text = tmp_path / "short.wav", tmp_path / "text.wav"
    soundfile.write(short, np.zeros(100), RATE)
    text.write_text("no sound")
    assert "short.wav: 100 samples" in refusal("explain", run, short, "--out", out)
    assert "text.wav: " in refusal("explain", run, text, "--out", out)
    assert "nowhere.wav: " in refusal("explain", run, tmp_path / "nowhere.wav", "--out", out)
    assert f"{tmp_path}: " in refusal("explain", run, tmp_path, "--out", out)
    assert "no such folder" in refusal("explain", run, odd_clip, "--out", out, "--normal", tmp_path / "nowhere")
    assert "is a file" in refusal("explain", run, odd_clip, "--out", short)
    assert "no detector of 'pump'" in refusal("explain", run, odd_clip, "--out", out, "--machine", "pump")
    several = tmp_path / "run"
    for machine in ("fan", "pump"):
        detector = replace(load_detector(run / "fan.soundness"), machine_type=machine)
        save_detector(detector, several / f"{machine}.soundness")
    message = refusal("explain", several, odd_clip, "--out", out)
    assert "detectors of fan, pump; --machine says which" in message
    assert not out.exists()
    assert soundness("explain", several, odd_clip, "--out", out, "--machine", "pump").exit_code == 0
    assert sorted(path.suffix for path in out.iterdir()) == [".html", ".png"]


def test_bands_of_a_detector_are_those_of_its_log_mel(workshop):
    detector = load_detector(workshop / "run" / "fan.soundness")
    assert len(band_centres(detector.settings.log_mel)) == detector.normal_clips.means.shape[1]

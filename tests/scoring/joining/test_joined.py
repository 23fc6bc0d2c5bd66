"""Tests side by side: the rarest counts, less its price, and what it saw is said."""

from dataclasses import replace

import numpy as np
import pytest

from soundness.errors import BundleError, SettingsError
from soundness.scoring.decisions.calibration import Threshold
from soundness.scoring.joining.joined import JoinedScorer
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.scoring import MemberSettings, PeakSettings, ScorerSettings

SIZES = (6, 40, 30)


def settings_of(*prices):
    peaks = [
        PeakSettings(kind=kind, view=view, is_two_sided=kind == "tone", price=price)
        for (kind, view), price in zip((("event", 1), ("tone", 2)), prices, strict=True)
    ]
    return ScorerSettings(name="joined", members=(MemberSettings(view=0),), peaks=tuple(peaks))


def training_of(n_clips=80, *, seed=0, **changes):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n_clips, sum(SIZES)))
    return replace(TrainingVectors.from_vectors(vectors, view_sizes=SIZES), **changes)


def clip_of(view=None, feature=0, change=0.0, *, seed=99):
    vector = np.random.default_rng(seed).standard_normal((1, sum(SIZES)))
    if view is not None:
        vector[0, sum(SIZES[:view]) + feature] += change
    return vector


def test_each_test_finds_what_only_it_can_see_and_names_it():
    scorer = JoinedScorer.fit(training_of(), settings_of(1.5, 1.5))
    assert scorer.score(clip_of()) < 4.0
    for view, feature, change, kind in ((1, 7, 14.0, "event"), (2, 3, -14.0, "tone")):
        clip = clip_of(view, feature, change)
        assert scorer.score(clip) > 6.0
        peak = scorer.peak(clip)
        assert (peak.kind, peak.view, peak.feature) == (kind, view, feature)
        assert peak.deviations == pytest.approx(change, abs=5.0)
    loud = clip_of()
    loud[0, : SIZES[0]] += 20.0
    assert scorer.score(loud) > 6.0
    assert scorer.peak(loud) is None


def test_the_score_is_the_rarest_less_its_price():
    scorer = JoinedScorer.fit(training_of(), settings_of(0.5, 2.5))
    clip = clip_of(1, 2, 4.0)
    parts = np.split(clip, np.cumsum(SIZES)[:-1], axis=1)
    own = [scorer.sound.score(clip), *(peak.score(part) for peak, part in zip(scorer.peaks, parts[1:], strict=True))]
    nats = [float(law.nats(np.array(score))) for law, score in zip(scorer.laws, own, strict=True)]
    assert scorer.score(clip) == pytest.approx(max(nats[0], nats[1] - 0.5, nats[2] - 2.5), rel=1e-12)


def test_a_promised_rate_holds_for_new_clips_whatever_the_tests():
    scorer = JoinedScorer.fit(training_of(400), settings_of(1.5, 1.5))
    threshold = Threshold.from_scores({"": scorer.left_out_scores()}, false_alarm_rate=0.1)
    new = training_of(2_000, seed=5).vectors
    flagged = np.mean([scorer.score(clip) > threshold.value for clip in new])
    assert 0.07 < flagged < 0.13


def test_a_test_dilutes_the_others_less_than_a_mean_does():
    scorer = JoinedScorer.fit(training_of(), settings_of(1.5, 1.5))
    with_tests, alone = [], []
    for seed in range(60):
        for change in (0.0, 1.8):
            clip = clip_of(seed=1_000 + seed)
            clip[0, : SIZES[0]] += change
            with_tests.append((change, scorer.score(clip)))
            alone.append((change, scorer.sound.score(clip)))

    def share(scores):
        normal, other = ([own for change, own in scores if (change > 0) == kind] for kind in (False, True))
        return np.mean(np.subtract.outer(other, normal) > 0)

    assert share(alone) - share(with_tests) < 0.06


def test_a_view_that_never_varies_is_not_tested_and_that_is_said():
    training = training_of()
    training.vectors[:, :, SIZES[0] : SIZES[0] + SIZES[1]] = 3.0
    scorer = JoinedScorer.fit(training, settings_of(1.5, 1.5))
    assert [peak.settings.kind for peak in scorer.peaks] == ["tone"]
    assert any(note.startswith("event: not tested") for note in scorer.notes())
    again = JoinedScorer.from_arrays(scorer.arrays(), settings_of(1.5, 1.5))
    assert again.score(clip_of(2, 3, 9.0)) == scorer.score(clip_of(2, 3, 9.0))


def test_views_that_are_not_there_are_refused():
    two = TrainingVectors.from_vectors(np.random.default_rng(0).random((9, 4)), view_sizes=(2, 2))
    with pytest.raises(SettingsError, match=r"scorer\.peaks: view 2 \(counted from 0\) of 2 views"):
        JoinedScorer.fit(two, settings_of(1.5, 1.5))


def test_vectors_of_one_view_are_scored_as_a_whole_alone():
    one = TrainingVectors.from_vectors(np.random.default_rng(0).random((9, 4)))
    scorer = JoinedScorer.fit(one, settings_of(1.5, 1.5))
    assert scorer.peaks == []
    assert scorer.peak(np.full((1, 4), 9.0)) is None
    assert JoinedScorer.from_arrays(scorer.arrays(), settings_of(1.5, 1.5)).score(np.ones((1, 4))) > 0.0


def test_what_was_saved_is_the_same_and_what_cannot_be_is_refused():
    scorer = JoinedScorer.fit(training_of(), settings_of(1.5, 1.5))
    arrays = scorer.arrays()
    again = JoinedScorer.from_arrays(arrays, settings_of(1.5, 1.5))
    for clip in (clip_of(), clip_of(1, 1, 9.0)):
        assert again.score(clip) == scorer.score(clip)
    np.testing.assert_array_equal(again.left_out_scores(), scorer.left_out_scores())
    with pytest.raises(BundleError, match="rising"):
        JoinedScorer.from_arrays(arrays | {"law.1": arrays["law.1"][::-1].copy()}, settings_of(1.5, 1.5))


def test_enrolled_clips_join_every_test():
    scorer = JoinedScorer.fit(training_of(), settings_of(1.5, 1.5))
    new = training_of(10, seed=3)
    new.vectors[:, 0, SIZES[0] + 5] += 12.0
    new = replace(new, clip_domains=np.ones(10, np.int64))
    after = scorer.enrolled(new)
    assert scorer.score(clip_of(1, 5, 12.0)) > 5.0 > after.score(clip_of(1, 5, 12.0))
    assert len(after.left_out_scores()) == 90


def test_a_further_test_is_dearer_with_few_clips():
    settings = settings_of(0.5, 2.5).model_copy(update={"few_clips_price": 12.0})
    for n_clips, price in ((10, 1.2), (80, 0.15)):
        scorer = JoinedScorer.fit(training_of(n_clips), settings)
        assert scorer.prices == pytest.approx([0.0, 0.5 + price, 2.5 + price])
        clip = clip_of(1, 2, 40.0)
        without = JoinedScorer.fit(training_of(n_clips), settings_of(0.5, 2.5))
        assert scorer.score(clip) == pytest.approx(without.score(clip) - price)
        assert JoinedScorer.from_arrays(scorer.arrays(), settings).prices.tolist() == scorer.prices.tolist()
        enrolled = scorer.enrolled(training_of(n_clips, seed=1))
        assert enrolled.prices.tolist() == scorer.prices.tolist()  # its laws are of the first clips


def test_a_member_with_a_price_is_a_test_by_itself_too():
    members = (MemberSettings(view=0), MemberSettings(view=0, distance="mahalanobis", price=1.5))
    settings = settings_of(1.5, 1.5).model_copy(update={"members": members, "few_clips_price": 8.0})
    scorer = JoinedScorer.fit(training_of(), settings)
    clip = clip_of(0, 2, 9.0)
    own = float(scorer.member_laws[1].nats(np.array(scorer.sound.member_scores(clip)[1])))
    mean = float(scorer.laws[0].nats(np.array(scorer.sound.score(clip))))
    assert scorer.nats(clip)[0] == pytest.approx(max(mean, own - 1.5 - 8.0 / 80), rel=1e-12)
    assert scorer.peak(clip) is None
    left_out = scorer.sound.scorers[1].left_out_scores()
    assert np.all(scorer.left_out_scores() >= scorer.member_laws[1].nats(left_out) - 1.6 - 1e-9)
    again = JoinedScorer.from_arrays(scorer.arrays(), settings)
    assert again.score(clip) == scorer.score(clip)
    with pytest.raises(BundleError, match=r"member_law\.1"):
        JoinedScorer.from_arrays({k: v for k, v in scorer.arrays().items() if k != "member_law.1"}, settings)


def test_what_only_a_priced_member_sees_is_not_diluted():
    clip = clip_of(0, 2, 9.0)
    views = tuple(MemberSettings(view=view) for view in (1, 2))
    scores = []
    for price in (None, 0.5):
        members = (*views, MemberSettings(view=0, distance="mahalanobis", price=price))
        settings = settings_of(1.5, 1.5).model_copy(update={"members": members})
        scores.append(JoinedScorer.fit(training_of(), settings).score(clip))
    assert scores[1] > scores[0] + 1.0


@pytest.mark.parametrize(("n_clips", "kinds"), [(6, "event, tone"), (16, "event"), (30, "")])
def test_few_clips_of_which_a_test_can_tell_little_are_named(n_clips, kinds):
    settings = settings_of(0.5, 1.5).model_copy(update={"few_clips_price": 12.0})
    scorer = JoinedScorer.fit(training_of(n_clips), settings)
    expected = f"{n_clips} clips are few: of the kinds {kinds} only strong changes are found"
    assert [note for note in scorer.notes() if "are few" in note] == ([expected] if kinds else [])
    again = JoinedScorer.from_arrays(scorer.arrays(), settings)
    assert again.notes() == scorer.notes()


def bounded_and_not(n_clips=80, **changes):
    settings = settings_of(1.5, 1.5).model_copy(update=changes)
    bounded = settings.model_copy(update={"is_bounded": True})
    return JoinedScorer.fit(training_of(n_clips), bounded), JoinedScorer.fit(training_of(n_clips), settings)


def test_beyond_the_rarest_normal_clip_the_sound_as_a_whole_orders():
    bounded, free = bounded_and_not()
    assert bounded.bound == bounded.left_out_scores().max() == free.left_out_scores().max()
    louder, stronger = clip_of(1, 7, 14.0), clip_of(1, 7, 40.0)
    louder[0, : SIZES[0]] *= 1.05  # its sound is a little rarer
    assert free.score(stronger) > free.score(louder)
    assert bounded.score(louder) > bounded.score(stronger) > bounded.bound
    assert bounded.score(louder) < bounded.bound + 0.01
    whole = clip_of()
    whole[0, : SIZES[0]] += 20.0
    assert bounded.score(whole) == free.score(whole) > bounded.score(louder)


def test_a_bound_changes_no_p_value():
    for scorer, without in (bounded_and_not(20), bounded_and_not(few_clips_price=12.0)):
        for change in (0.0, 2.0, 4.0, 5.0, 6.0, 8.0, 30.0):
            for seed in range(5):
                clip = clip_of(1, 7, change, seed=seed)
                n_rarer = (scorer.left_out_scores() >= scorer.score(clip)).sum()
                assert n_rarer == (without.left_out_scores() >= without.score(clip)).sum()


def test_of_two_tests_beyond_the_bound_the_rarer_is_named():
    bounded, free = bounded_and_not()
    for first, second, kind in ((14.0, -40.0, "tone"), (40.0, -14.0, "event")):
        clip = clip_of(1, 7, first)
        clip[0, sum(SIZES[:2]) + 3] += second
        event, tone = bounded.nats(clip)[1:]
        assert event == tone  # both beyond it
        assert bounded.peak(clip).kind == free.peak(clip).kind == kind


def test_a_bound_is_that_of_all_clips_that_were_enrolled():
    bounded, _ = bounded_and_not()
    new = training_of(10, seed=3)
    new.vectors[0, 0, SIZES[0] + 5] += 9.0
    after = bounded.enrolled(replace(new, clip_domains=np.ones(10, np.int64)))
    assert after.bound == pytest.approx(after.left_out_scores().max())
    again = JoinedScorer.from_arrays(after.arrays(), after.settings)
    assert again.bound == after.bound

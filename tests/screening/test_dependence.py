from pathlib import Path

import numpy as np
import pytest

from soundness.errors import SettingsError
from soundness.screening.dependence import find_dependence, groups_of, independent_scores, limited
from soundness.screening.known_recordings import KnownRecordings

FLAT = [np.zeros(64)] * 5
RNG = np.random.default_rng(0)
N_FRAMES = 200


def a_print(n_frames=N_FRAMES):
    return RNG.choice(np.array([-1, 1], np.int8), size=(16, n_frames))


def test_of_several_copies_the_one_with_the_shortest_name_is_kept():
    own, other = a_print(), a_print()
    names = ["x - Copy.wav", "y.wav", "x.wav", "x (1).flac"]
    found = find_dependence([own, other, own, own[:, 1:]], FLAT[:4], names)
    assert found.copy_of.tolist() == [2, 1, 2, 2]
    assert found.kept.tolist() == [1, 2]
    (note,) = found.notes(names, kind="training clips", hop_seconds=0.032)
    assert note == ("2 of 4 training clips are copies of others (x - Copy.wav of x.wav): each recording counts once")


def test_a_copy_under_another_condition_is_not_dropped_but_depends():
    own = a_print()
    found = find_dependence([own, own, a_print()], FLAT[:3], ["a", "b", "c"], kinds=["source", "target", "source"])
    assert found.kept.tolist() == [0, 1, 2]
    assert found.common.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_overlapping_clips_depend_on_those_that_they_overlap():
    long = a_print(500)
    clips = [long[:, start : start + 200] for start in (0, 100, 200, 300)]
    found = find_dependence(clips, FLAT[:4], list("abcd"))
    apart = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    np.testing.assert_allclose(found.common, np.select([apart == 0, apart == 1], [1.0, 0.5]))
    assert len(found.kept) == 4
    (note,) = found.notes(list("abcd"), kind="clips", hop_seconds=0.1)
    assert note.startswith("4 of 4 clips share sound with others (a and b have 10.0 s in common)")


def test_independent_clips_give_no_note():
    found = find_dependence([a_print() for _ in range(5)], FLAT, list("abcde"))
    assert (found.common == np.eye(5)).all()
    assert list(found.notes(list("abcde"), kind="clips", hop_seconds=0.1)) == []


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ("prefix", ["rec1", "rec1", "rec2", "day", "x"]),
        ("folder", ["m", "m", "m", "m", "n"]),
        (r"rec\d", ["rec1", "rec1", "rec2", None, None]),
        (r"_0*(\d+)", ["1", "2", "1", "7", None]),
    ],
)
def test_groups_are_read_from_names(group_by, groups):
    paths = [Path(name) for name in ("m/rec1_01.wav", "m/rec1_02.wav", "m/rec2_1.wav", "m/day_7.wav", "n/x.wav")]
    if group_by == "folder":
        paths.append(Path("k/y.wav"))
        groups = [*groups, "k"]
    assert groups_of(paths, group_by) == groups


@pytest.mark.parametrize(("group_by", "message"), [("(", "no regular expression"), ("rec", "1 group")])
def test_groups_that_cannot_be_left_out_are_refused(group_by, message):
    with pytest.raises(SettingsError, match=message):
        groups_of([Path(f"rec{index}.wav") for index in range(9)], group_by)


def test_clips_of_a_group_depend_on_each_other():
    found = find_dependence([a_print() for _ in range(4)], FLAT[:4], list("abcd"), groups=["1", "2", "1", None])
    assert found.common.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]


def test_at_most_half_of_a_domain_is_left_out():
    dependent = np.ones((6, 6), np.bool_)
    within = limited(dependent, np.array([0, 0, 0, 0, 1, 1]))
    assert within[0].tolist() == [True, True, False, False, True, True]
    assert within[:4, :4].sum(axis=1).tolist() == [2, 2, 2, 2]
    assert within[4].tolist() == [True, True, True, True, True, False]


def test_dependent_scores_count_as_fewer_independent_ones():
    scores = np.array([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert independent_scores(scores, np.ones(6)).tolist() == [1, 2, 3, 4, 5, 6]
    assert independent_scores(scores, np.full(6, 0.5)).tolist() == [2, 4, 6]
    assert independent_scores(scores, np.array([0.5, 1, 1, 1, 0.5, 1])).tolist() == [1, 2, 4, 5, 6]
    assert independent_scores(scores, np.full(6, 0.1)).tolist() == [6]


def test_a_recording_to_which_a_sound_was_added_is_no_copy():
    own, louder, muffled, whistling = a_print(), np.full(64, 3.0), np.zeros(64), np.zeros(64)
    muffled[50:] = -30.0
    whistling[30:32] = 8.0
    means = [np.zeros(64), louder, muffled, whistling]
    found = find_dependence([own] * 4, means, list("abcd"))
    assert found.copy_of.tolist() == [0, 0, 0, 3]
    assert found.common[0, 3] == 1.0
    known = KnownRecordings([a_print(), own], np.zeros((2, 64)))
    assert [known.copy_of(own, mean) for mean in means] == [1, 1, 1, None]
    assert known.copy_of(own[:, 3:], means[0]) == 1
    assert known.copy_of(np.hstack([a_print(2), own]), means[0]) == 1
    assert known.copy_of(own[:, 100:], means[0]) is None
    assert known.copy_of(a_print(), means[0]) is None
    assert known.copy_of(np.zeros_like(own), means[0]) is None
    assert [(match.first, match.second) for match in known.shared_with([a_print(), own[:, 100:]])] == [(1, 1)]
    assert KnownRecordings([], np.empty((0, 64))).copy_of(own, means[0]) is None

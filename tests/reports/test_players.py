"""Players are of the clips at both ends of the scores."""

import numpy as np

from soundness.evaluation.score_files import MachineScores
from soundness.reports.players import extreme_clips, n_players


def test_the_ends_are_ordered_and_have_no_clip_in_common():
    scores = MachineScores("fan", "section_00", ("a", "b", "c"), np.array([2.0, 1.0, 3.0]), None)
    highest, lowest = extreme_clips(scores, None, n_clips=3)
    assert [clip.file_name for clip in highest] == ["c", "a"]
    assert [clip.file_name for clip in lowest] == ["b"]


def test_many_machines_have_fewer_players_each():
    assert [n_players(n_machines) for n_machines in (1, 8, 9, 24, 100)] == [3, 3, 2, 1, 1]

"""Columns that say the same in every row are told once, beside the table."""

import pytest

from soundness.tables import column_widths, notes_by_machine, split_constant

ROWS = [("machine", "clips", "separation", "loss"), ("fan", "10", "off", ""), ("pump", "20", "off", "")]


def test_columns_that_are_the_same_in_all_rows_are_taken_out_and_named():
    assert split_constant(ROWS) == ([("machine", "clips"), ("fan", "10"), ("pump", "20")], (("separation", "off"),))


def test_a_single_row_keeps_all_that_it_says():
    assert split_constant(ROWS[:2]) == ([("machine", "clips", "separation"), ("fan", "10", "off")], ())


def test_columns_at_the_left_stay():
    rows = [("machine", "clips"), ("fan", "10"), ("fan", "10")]
    assert split_constant(rows, n_kept=2) == (rows, ())


@pytest.mark.parametrize("width", range(12, 60, 3))
def test_columns_are_as_wide_as_their_longest_word_and_no_wider_together_than_the_screen(width):
    rows = [("machine", "what is anomalous"), ("fan", "a hum near 120 Hz, 9 dB above normal"), ("pump_12", "nothing")]
    widths = column_widths(rows, width)
    if width < len("machine") + len("anomalous"):
        assert widths is None
    else:
        assert sum(widths) <= width
        assert widths[0] >= len("machine")
        assert widths[1] >= len("anomalous")


def test_a_note_on_all_machines_is_told_once():
    notes = [("fan", "few clips"), ("pump", "few clips"), ("pump", "loud")]
    assert notes_by_machine(notes, 2) == ["all 2 machines: few clips", "pump: loud"]
    assert notes_by_machine(notes[:1], 1) == ["fan: few clips"]
    assert notes_by_machine(notes, 3) == ["fan, pump: few clips", "pump: loud"]

"""Columns that say the same in every row are told once, beside the table."""

from soundness.tables import split_constant

ROWS = [("machine", "clips", "separation", "loss"), ("fan", "10", "off", ""), ("pump", "20", "off", "")]


def test_columns_that_are_the_same_in_all_rows_are_taken_out_and_named():
    assert split_constant(ROWS) == ([("machine", "clips"), ("fan", "10"), ("pump", "20")], (("separation", "off"),))


def test_a_single_row_keeps_all_that_it_says():
    assert split_constant(ROWS[:2]) == ([("machine", "clips", "separation"), ("fan", "10", "off")], ())


def test_columns_at_the_left_stay():
    rows = [("machine", "clips"), ("fan", "10"), ("fan", "10")]
    assert split_constant(rows, n_kept=2) == (rows, ())

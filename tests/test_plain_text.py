"""Names of strangers: nothing of them acts on a terminal or in a spreadsheet, and no two become one."""

import csv
import io

import pytest

from soundness.files.stored_values import machine_name_problem
from soundness.plain_text import one_line, printable, shown_name, spreadsheet_cell, spreadsheet_path

NASTY = ("fan\nx", "a\rb", "\x1b[2J\x1b[31mred", "evil\u202egpj.wav", "b\udcff.wav", "a\u2028b", "\x00", "\u200ewav")


@pytest.mark.parametrize("text", NASTY)
def test_what_would_act_on_a_terminal_is_shown_escaped(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert "\\" in shown


@pytest.mark.parametrize("text", ["Lüfter 3.wav", "ポンプ.wav", "=1+1", "a\\b", "a\u00a0b"])
def test_what_harms_nobody_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_texts_in_one_line_stay_different() -> None:
    texts = [*NASTY, "fan\\nx", "a\\rb", "b\\udcff.wav"]
    lines = list(map(one_line, texts))
    assert len(set(lines)) == len(texts)
    assert all("\n" not in line and "\r" not in line for line in lines)
    assert all(line.encode("utf-8") for line in lines)


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "|x"])
def test_formulas_are_neutralised(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"
    assert spreadsheet_path(text) in (f"./{text}", f".\\{text}")


@pytest.mark.parametrize("text", ["-1.5", "+3", "-1e-05", "data/=x.wav", "a=b", ""])
def test_numbers_and_other_texts_stay_as_they_are(text: str) -> None:
    assert spreadsheet_cell(text) == text
    stream = io.StringIO()
    csv.writer(stream).writerow([spreadsheet_cell(text), "x"])
    assert next(csv.reader(io.StringIO(stream.getvalue()))) == [text, "x"]


@pytest.mark.parametrize("text", [*NASTY, "a\\b", "a\u00a0b"])
def test_a_machine_named_after_any_folder_may_be_part_of_the_name_of_a_file(text: str) -> None:
    assert machine_name_problem(shown_name(text)) == ""
    assert shown_name("Lüfter 3") == "Lüfter 3"

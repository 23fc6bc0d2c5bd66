"""Tables as spreadsheets of any country save them."""

import math
from pathlib import Path

import pytest

from soundness.data.clips import read_attributes
from soundness.data.csv_tables import parse_number, read_rows


def fits(row: list[str]) -> bool:
    return len(row) == 2 and not math.isnan(parse_number(row[1]))


TABLES = {
    "commas": b"a.wav,0.716\nb.wav,-1e-3\n",
    "semicolons and decimal commas": b"a.wav;0,716\nb.wav;-1e-3\n",
    "tabs": b"a.wav\t0,716\nb.wav\t-0,001\n",
    "line ends of Windows and a mark": b"\xef\xbb\xbfa.wav;0,716\r\n\r\nb.wav;-0,001\r\n",
    "quotes": b'"a.wav","0,716"\n"b.wav","-0.001"\n',
    "a line for Excel": b"sep=;\na.wav;0.716\nb.wav;-.001\n",
    "Unicode text": "a.wav\t0,716\r\nb.wav\t-0,001\r\n".encode("utf-16"),
}


@pytest.mark.parametrize("content", TABLES.values(), ids=list(TABLES))
def test_a_table_is_the_same_however_it_was_saved(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    rows = [row for _, row in read_rows(tmp_path / "t.csv", fits=fits)]
    assert [(row[0], parse_number(row[1])) for row in rows] == [("a.wav", 0.716), ("b.wav", -0.001)]


def test_a_name_with_a_semicolon_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;b.wav,0.5\n")
    assert read_rows(tmp_path / "t.csv", fits=fits) == [(1, ["a;b.wav", "0.5"])]


@pytest.mark.parametrize("text", ["1.234,5", "1,234.5", "1 234", "", "a", "1,2,3", "0x10"])
def test_what_may_be_two_numbers_is_none(text: str) -> None:
    assert math.isnan(parse_number(text))


@pytest.mark.parametrize(("text", "value"), [("inf", math.inf), (" 3 ", 3.0), ("1,5e3", 1500.0), ("+,5", 0.5)])
def test_numbers_are_read(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_attributes_are_read_whatever_separates_them(tmp_path: Path, delimiter: str) -> None:
    rows = (("file_name", "d1p", "d1v"), ("a.wav", "vel", "6,5" if delimiter != "," else "6.5"))
    (tmp_path / "t.csv").write_text("\r\n".join(delimiter.join(row) for row in rows), encoding="utf-8-sig")
    assert read_attributes(tmp_path / "t.csv") == {"a.wav": "vel_6,5" if delimiter != "," else "vel_6.5"}

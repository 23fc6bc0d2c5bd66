"""Tables as loggers, spreadsheets and data acquisition write them: times, units, empty cells, names without suffix."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from soundness.audio.reading import read_blocks, read_info
from soundness.data.datasets import open_dataset
from soundness.data.finding import find_recordings, list_audio, unread_problems
from soundness.errors import AudioError, DataError
from soundness.settings.system import AudioSettings

N = 400
NOISE = np.round(np.random.default_rng(0).standard_normal(N), 5)
MORNING, MIDNIGHT = datetime(2024, 3, 1, 9), datetime(2024, 3, 1, 23, 59, 59, 900_000)  # local times, as loggers write


def table(header: str, time: Callable[[int], str], *, row: str = "{},{}", comma: bool = False) -> str:
    values = [f"{value:.5f}".replace(".", ",") if comma else f"{value:.5f}" for value in NOISE]
    return header + "".join(row.format(time(index), value) + "\n" for index, value in enumerate(values))


def moment(index: int, form: str, start: datetime = MORNING) -> str:
    return (start + timedelta(milliseconds=index)).strftime(form)


TABLES = {
    "units below the names": table("Time;Level\n(ms);(m/s²)\n", str, row="{};{}", comma=True),
    "units below the names, in seconds": table("Time,Level\ns,g\n", lambda i: f"{i / 1000}"),
    "a unit behind a slash": table("t/ms,a/g\n", str),
    "a unit in words": table("Zeit in ms;a in g\n", str, row="{};{}", comma=True),
    "the axis of LabVIEW": table("X_Value,Acceleration\n", lambda i: f"{i / 1000}"),
    "milliseconds since 1970": table("timestamp,a\n", lambda i: f"{1_700_000_000_000 + i}"),
    "seconds since 1970": table("timestamp,a\n", lambda i: f"{1_700_000_000 + i / 1000:.3f}"),
    "times of a day over midnight": table("time,a\n", lambda i: moment(i, "%H:%M:%S.%f", MIDNIGHT)),
    "German moments": table("Datum;a\n", lambda i: moment(i, "%d.%m.%Y %H:%M:%S,%f"), row="{};{}", comma=True),
    "moments of a time zone": table("time,a\n", lambda i: moment(i, "%Y-%m-%dT%H:%M:%S.%f+01:00")),
    "a comma behind each row": table("time,a,\n", lambda i: f"{i / 1000}", row="{},{},"),
    "times with too few digits": table("time,a\n", lambda i: f"{i // 3 * 0.003:.3f}"),
    "quotation marks": table('"time","a"\n', lambda i: f"{i / 1000}", row='"{}","{}"'),
}


def samples(path: Path, **audio: object) -> np.ndarray:
    return np.concatenate(list(read_blocks(path, audio=AudioSettings(**audio))))


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_the_times_of_a_table_give_its_rate_and_are_no_channel(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert read_info(tmp_path / "a.csv").sample_rate == pytest.approx(1000, abs=6)
    np.testing.assert_allclose(samples(tmp_path / "a.csv")[:, 0], NOISE, atol=1e-6)
    assert samples(tmp_path / "a.csv").shape == (N, 1)
    assert list_audio(tmp_path) == [tmp_path / "a.csv"]


@pytest.mark.parametrize("header", ["index,a\n", ",a\n", ""])
def test_a_column_that_counts_the_rows_is_no_channel_and_no_time(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(table(header, str))
    with pytest.raises(AudioError, match="states no sample rate; --rate HZ says it"):
        read_info(tmp_path / "a.csv")
    np.testing.assert_allclose(samples(tmp_path / "a.csv", rate=1000.0), NOISE[:, None], atol=1e-6)


def test_times_whose_last_digit_is_a_large_part_of_the_recording_give_no_rate(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table("time,a\n", lambda i: moment(i, "%H:%M:%S", MIDNIGHT)))
    with pytest.raises(AudioError, match="the steps of its column 'time' are uneven; --rate HZ"):
        read_info(tmp_path / "a.csv")


def test_an_empty_cell_is_named_with_its_time(tmp_path: Path) -> None:
    text = table("time,a,b\n", lambda i: f"{i / 1000}", row="{},{},1.5").replace(f"{NOISE[250]:.5f}", "")
    (tmp_path / "a.csv").write_text(text)
    assert list_audio(tmp_path) == [tmp_path / "a.csv"]
    with pytest.raises(AudioError, match=r"no numbers \(NaN or infinite\), at 0\.250 s"):
        samples(tmp_path / "a.csv")


@pytest.mark.parametrize("suffix", [".txt", ".asc", ".dat", ".tsv", ".CSV"])
def test_tables_of_other_suffixes_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text(table("time,a\n", lambda i: f"{i / 1000}"))
    (tmp_path / "readme.txt").write_text("Pump 3, hall 2.\n" * 30)
    assert find_recordings(tmp_path).recordings == [path]
    assert samples(path).shape == (N, 1)


def test_what_is_nearly_a_table_is_named_with_what_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(table("time,a\n", lambda i: f"{i / 1000}"))
    (tmp_path / "b.csv").write_text(table("time,state,a\n", lambda i: f"{i / 1000}", row="{},OK,{}"))
    (tmp_path / "scores.csv").write_text((tmp_path / "b.csv").read_text())
    found = find_recordings(tmp_path)
    assert found.recordings == [tmp_path / "a.csv"]
    (problem,) = unread_problems(found, tmp_path)
    assert problem.message == (
        "1 text file(s) hold other than numbers and are not read, e.g. b.csv: 'OK' in its rows is no number"
    )
    (tmp_path / "a.csv").unlink()
    with pytest.raises(DataError, match=r"no audio found.*b\.csv: 'OK' in its rows is no number"):
        open_dataset(tmp_path)


def test_numbers_in_a_file_without_a_suffix_are_named(tmp_path: Path) -> None:
    (tmp_path / "2003.10.22.12.06.24").write_text("".join(f"{one:.3f}\t{-one:.3f}\n" for one in NOISE))
    (problem,) = unread_problems(find_recordings(tmp_path), tmp_path)
    assert "without a suffix such as .wav or .csv, look like recordings and are not read" in problem.message


def test_the_fields_of_a_structured_array_are_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.rec.fromarrays([np.arange(N) / 1000, NOISE], names="time,a"))
    assert read_info(tmp_path / "a.npy").sample_rate == 1000
    np.testing.assert_allclose(samples(tmp_path / "a.npy"), NOISE[:, None], atol=1e-6)

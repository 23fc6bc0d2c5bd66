from datetime import UTC, datetime

import pytest

from soundness.errors import SettingsError
from soundness.monitoring.configuration.maintenance import parse_window, window_at
from soundness.monitoring.configuration.monitor_settings import load_configuration


def at(text):
    return round(1e6 * datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ("Mon-Fri 12:00-12:30", "2026-11-30T12:00", "2026-11-29T12:00"),  # a Monday, and a Sunday
        ("Mon-Fri 12:00-12:30", "2026-12-04T12:29:59", "2026-12-04T12:30"),
        ("daily 02:00-03:00", "2026-11-29T02:30", "2026-11-29T01:59:59"),
        ("Sat,Sun 00:00-24:00", "2026-11-29T23:59", "2026-11-30T00:00"),
        ("Fri-Mon 8:00-9:00", "2026-11-30T08:00", "2026-12-01T08:00"),
        ("mon 22:00-02:00", "2026-12-01T01:59", "2026-11-30T01:59"),
    ],
)
def test_a_window_contains_its_times_alone(window, inside, outside):
    assert parse_window(window).contains(at(inside))
    assert not parse_window(window).contains(at(outside))


def test_a_clip_a_part_of_which_lies_in_a_window_is_in_it():
    windows = [parse_window("daily 02:00-03:00")]
    short = [parse_window("daily 02:00-02:05")]
    assert window_at(short, at("2026-11-29T01:58"), at("2026-11-29T02:08")) is short[0]
    assert window_at(short, at("2026-11-29T02:05:00"), at("2026-11-29T02:15")) is None
    assert window_at(windows, at("2026-11-29T01:59:55"), at("2026-11-29T02:00:05")) is windows[0]
    assert window_at(windows, at("2026-11-29T01:00:00"), at("2026-11-29T01:00:10")) is None


@pytest.mark.parametrize(
    "window", ["", "noon", "Mon 12:00", "Mon 12:00-12:00", "Mun 12:00-13:00", "Mon 25:00-26:00", "Mon-Fry 1:00-2:00"]
)
def test_what_is_no_window_is_refused_with_the_configuration(tmp_path, window):
    file = tmp_path / "m.toml"
    file.write_text(f'[[sensor]]\nname = "pump"\nsource = "pcm:-"\nmaintenance = ["{window}"]\n')
    with pytest.raises(SettingsError, match="is no window of time; expected one such as"):
        load_configuration(file)

"""Values and arrays of strangers' files are taken as they are expected, or refused in one line."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from soundness.errors import BundleError
from soundness.files.stored_values import (
    MachineName,
    flags,
    floats,
    indices,
    integers,
    json_values,
    machine_name_problem,
    stored_value,
)
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.scoring.decisions.calibration import Calibration, Threshold

RATES = dict.fromkeys(("asked_per_day", "expected_per_day", "bound_per_day", "dependent_per_day"), 1.0)
RULE = {"p_value": 0.05, "n_anomalous": 2, "n_clips": 3, "clip_every_seconds": 10.0, **RATES}
BAD_NUMBERS = (None, "0.05", [0.05], {}, math.nan, math.inf, -1.0, True)


def test_a_record_is_made_of_plain_values():
    assert stored_value(AlarmRule, RULE, name="alarm_rule") == AlarmRule(**RULE)
    threshold = stored_value(Threshold, {"value": 1, "domains": {"": 1.0}, "notes": ["a"]}, name="threshold")
    assert threshold == Threshold(1.0, {"": 1.0}, ("a",))


@pytest.mark.parametrize("field", RULE)
@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
def test_a_field_of_another_type_or_range_is_named(field, value):
    with pytest.raises(BundleError, match=rf"^alarm_rule\.{field}: .* came$"):
        stored_value(AlarmRule, {**RULE, field: value}, name="alarm_rule")


@pytest.mark.parametrize("field", RULE)
def test_a_field_that_is_missing_is_named(field):
    with pytest.raises(BundleError, match=rf"^alarm_rule\.{field}: Field required"):
        stored_value(AlarmRule, {name: value for name, value in RULE.items() if name != field}, name="alarm_rule")


@pytest.mark.parametrize(
    "value", [None, 5, "", " ", ".", "..", "a/b", "a\\b", "a\nb", "a\0b", "\x1b[2J", "\u202egnp", "x" * 300]
)
def test_what_cannot_be_the_name_of_a_machine_is_refused(value):
    with pytest.raises(BundleError, match=r"^machine_type"):
        stored_value(MachineName, value, name="machine_type")


@pytest.mark.parametrize("name", ["fan", "Lüfter 3", "ポンプ", "a=b", "-x", ".hidden", "x" * 180])
def test_what_can_be_the_name_of_a_machine_is_taken(name):
    assert machine_name_problem(name) == ""
    assert stored_value(MachineName, name, name="machine_type") == name


@pytest.mark.parametrize("text", ["", "{", "[" * 200_000, '{"a":' * 100_000, "nul", '"\\ud800"', b"\xff"])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(BundleError, match=r"^no JSON: "):
        json_values(text)


def test_a_message_shows_little_of_what_came_and_nothing_that_acts_on_a_terminal():
    with pytest.raises(BundleError) as caught:
        stored_value(AlarmRule, {**RULE, "p_value": "\x1b[2J" + "x" * 100_000}, name="alarm_rule")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


ARRAYS = {
    "own": np.ones((3, 2)),
    "single": np.ones(3, np.float32),
    "nan": np.array([1.0, np.nan]),
    "inf": np.array([1.0, np.inf]),
    "domains": np.array([0, 1, 2]),
    "conditions": np.ones((2, 1), np.bool_),
    "signs": np.ones((2, 2), np.int16),
    "empty": np.ones((0, 2)),
}


def test_arrays_are_taken_with_their_type_and_shape():
    assert floats(ARRAYS, "own", (3, None)) is ARRAYS["own"]
    assert floats(ARRAYS, "single", (3,), single=True) is ARRAYS["single"]
    assert floats(ARRAYS, "inf", (2,), high=math.inf) is ARRAYS["inf"]
    assert indices(ARRAYS, "domains", (3,), below=3) is ARRAYS["domains"]
    assert flags(ARRAYS, "conditions", (2, 1)) is ARRAYS["conditions"]
    assert integers(ARRAYS, "signs", (2, None), np.int16) is ARRAYS["signs"]


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda: floats(ARRAYS, "other", (3,)), "array other: is missing"),
        (lambda: floats(ARRAYS, "own", (3,)), r"array own: float64 of shape \(3\) is expected; float64 of \(3, 2\)"),
        (lambda: floats(ARRAYS, "own", (2, None)), r"float64 of shape \(2, any\) is expected"),
        (lambda: floats(ARRAYS, "own", (3, 2), single=True), "float32 of shape"),
        (lambda: floats(ARRAYS, "own", (3, 2), low=2.0), "array own: holds 1; numbers of 2 to"),
        (lambda: floats(ARRAYS, "nan", (2,)), "array nan: holds nan"),
        (lambda: floats(ARRAYS, "nan", (2,), high=math.inf), "array nan: holds nan"),
        (lambda: floats(ARRAYS, "inf", (2,)), "array inf: holds inf"),
        (lambda: floats(ARRAYS, "empty", (None, 2)), r"float64 of \(0, 2\) came"),
        (lambda: indices(ARRAYS, "domains", (3,), below=2), "array domains: holds 2; numbers of 0 to 1"),
        (lambda: indices(ARRAYS, "domains", (3,), below=3, low=1), "array domains: holds 0"),
        (lambda: indices(ARRAYS, "own", (3, 2), below=3), "int64 of shape"),
        (lambda: flags(ARRAYS, "own", (3, 2)), "bool of shape"),
    ],
)
def test_other_arrays_are_refused_by_name(take, message):
    with pytest.raises(BundleError, match=message):
        take()


@dataclass(frozen=True)
class Stored:
    about: dict[str, object]
    arrays: dict[str, np.ndarray]


GOOD = Stored({"origin": "fresh", "notes": ["a"]}, {"": np.array([1.0, 2.0])})


def test_a_calibration_is_rebuilt():
    found = Calibration.from_stored(GOOD.about, GOOD.arrays)
    assert found.p_value(1.5) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("about", "arrays"),
    [
        ({"origin": "elsewhere"}, {}),
        ({"notes": []}, {}),
        ({"notes": {"a": 1}}, {}),
        ({}, {"": np.array([2.0, 1.0])}),
        ({}, {"": np.array([1.0, np.nan])}),
        ({}, {"": np.array([[1.0, 2.0]])}),
        ({}, {"": np.array([1.0, 2.0], np.float32)}),
    ],
)
def test_a_calibration_of_anything_else_is_refused(about, arrays):
    with pytest.raises(BundleError):
        Calibration.from_stored({**GOOD.about, **about}, {**GOOD.arrays, **arrays})


def test_a_calibration_without_scores_is_refused():
    with pytest.raises(BundleError, match="calibration: holds no scores"):
        Calibration.from_stored(GOOD.about, {})

"""A condition becomes one-hot blocks of machine type, attributes and domain, as worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundness.data.clips import Clip, Condition, condition_of, describe_clip
from soundness.representations.conditions import ConditionEncoder


def condition(machine="fan", domain="source", attributes="", section="section_00"):
    return Condition(machine, domain, section, attributes)


def encoded(conditions):
    return ConditionEncoder(tuple(conditions)).encode(conditions).tolist()


def test_machine_attributes_and_domain_are_three_blocks_of_ones_and_zeros():
    conditions = [
        condition("fan", "source", "vel_1"),
        condition("fan", "target", "vel_2"),
        condition("pump", "source", "pos_A"),
    ]
    # machine: fan pump | attributes: fan vel_1, fan vel_2, pump pos_A | domain: source target
    assert encoded(conditions) == [
        [1, 0, 1, 0, 0, 1, 0],
        [1, 0, 0, 1, 0, 0, 1],
        [0, 1, 0, 0, 1, 1, 0],
    ]
    encoder = ConditionEncoder(tuple(conditions))
    assert encoder.conditioned_on == ("machine_type", "attributes", "domain")
    assert encoder.n_features == 7
    assert encoder.encode(conditions).dtype == np.float32


def test_a_block_that_is_the_same_everywhere_is_left_out():
    conditions = [condition(domain="source"), condition(domain="target")]
    assert encoded(conditions) == [[1, 0], [0, 1]]
    assert ConditionEncoder(tuple(conditions)).conditioned_on == ("domain",)
    conditions = [condition(attributes="vel_1"), condition(attributes="vel_2")]
    assert encoded(conditions) == [[1, 0], [0, 1]]
    assert ConditionEncoder(tuple(conditions)).conditioned_on == ("attributes",)


def test_the_same_attributes_on_two_machines_are_two_attributes():
    conditions = [condition("fan", attributes="vel_1"), condition("pump", attributes="vel_1")]
    assert encoded(conditions) == [[1, 0, 1, 0], [0, 1, 0, 1]]


def test_machines_without_attributes_share_having_none():
    conditions = [condition("fan"), condition("pump"), condition("gearbox", attributes="x")]
    # machine: fan gearbox pump | attributes: none, gearbox x
    assert encoded(conditions) == [[1, 0, 0, 1, 0], [0, 0, 1, 1, 0], [0, 1, 0, 0, 1]]
    assert ConditionEncoder((condition("fan"), condition("pump"))).conditioned_on == ("machine_type",)


def test_the_section_belongs_to_the_attributes():
    conditions = [condition(section="section_00"), condition(section="section_01")]
    assert encoded(conditions) == [[1, 0], [0, 1]]
    assert ConditionEncoder(tuple(conditions)).conditioned_on == ("attributes",)


@pytest.mark.parametrize("conditions", [(), (condition(),)])
def test_where_there_is_nothing_to_tell_there_are_no_features(conditions):
    encoder = ConditionEncoder(conditions)
    assert encoder.n_features == 0
    assert encoder.conditioned_on == ()
    assert encoder.encode([condition(), condition(domain="target")]).shape == (2, 0)


def test_no_conditions_make_no_rows():
    assert ConditionEncoder((condition(), condition("pump"))).encode([]).shape == (0, 2)


names = st.sampled_from(["", "a", "b", "c"])


@given(st.lists(st.builds(Condition, names, names, names, names), min_size=1, unique=True))
def test_each_row_holds_one_one_per_block_and_no_two_conditions_share_a_row(conditions):
    encoder = ConditionEncoder(tuple(sorted(conditions)))
    rows = encoder.encode(conditions)
    assert rows.shape == (len(conditions), encoder.n_features)
    assert (rows.sum(axis=1) == len(encoder.conditioned_on)).all()
    assert len({tuple(row) for row in rows.tolist()}) == len(conditions)


@given(st.lists(st.builds(Condition, names, names, names, names), min_size=1, unique=True), st.randoms())
def test_the_order_of_the_conditions_does_not_matter(conditions, random):
    shuffled = random.sample(conditions, len(conditions))
    expected = ConditionEncoder(tuple(conditions)).encode(conditions)
    assert np.array_equal(ConditionEncoder(tuple(shuffled)).encode(conditions), expected)


def test_the_condition_of_a_training_clip_is_what_its_name_and_place_say():
    path = Path("fan/train/section_02_target_train_normal_0003_vel_6.wav")
    clip = describe_clip(path, machine_type="fan", split="train", label="normal")
    assert condition_of(clip) == Condition("fan", "target", "section_02", "vel_6")


def test_what_is_not_known_is_empty_and_the_label_is_no_part_of_a_condition():
    clips = [Clip(Path("x.wav"), "fan", "train", label=label) for label in ("normal", None)]
    assert {condition_of(clip) for clip in clips} == {Condition("fan", "", "section_00", "")}


@pytest.mark.parametrize(
    ("given_condition", "words"),
    [
        (condition(attributes="vel_6"), "source vel_6"),
        (condition(section="section_01"), "source section_01"),
        (condition(domain=""), "unknown"),
        (condition(domain="", attributes="vel_6"), "vel_6"),
    ],
)
def test_a_condition_is_told_in_words(given_condition, words):
    assert str(given_condition) == words

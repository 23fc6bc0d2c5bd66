"""Names of sensors become topics that no two share, and that Home Assistant takes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundness.errors import SettingsError
from soundness.monitoring.sinks.broker import check_broker_url
from soundness.monitoring.sinks.topics import Topics, check_topics, entity_id, topic_level

names = st.text(st.characters(exclude_characters="/\\#+$", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=80)


@given(names)
def test_a_level_of_a_topic_has_no_wildcard_and_no_blank(name):
    level = topic_level(name)
    assert level
    assert not re.search(r"[/+#$\s\x00-\x1f]", level)


@given(names, names)
def test_other_topics_are_other_entities(one, other):
    assert re.fullmatch(r"[A-Za-z0-9_-]+", entity_id(one))
    assert (topic_level(one) == topic_level(other)) == (entity_id(one) == entity_id(other))


def test_names_with_the_same_topics_are_refused():
    check_topics(["pump 3", "pump 4", "ポンプ", "ファン"])
    with pytest.raises(SettingsError, match=r"'pump 3' and 'pump_3' would have the same topics .*'pump_3'"):
        check_topics(["pump 3", "fan", "pump_3"])


def test_every_entity_has_a_topic_of_its_own():
    topics = Topics(prefix="hall/2", home_assistant="homeassistant", client_id="a")
    found = topics.discovery("pump 3", public_url="http://sound.example")
    assert len(found) == len({one["unique_id"] for one in found.values()}) == 5
    assert found["homeassistant/sensor/a/pump_3_score/config"]["state_topic"] == "hall/2/pump_3/score"
    assert {one["device"]["configuration_url"] for one in found.values()} == {"http://sound.example"}


@pytest.mark.parametrize("url", ["mqtt://broker", "mqtts://broker:8883", "mqtt://[::1]:1883", "mqtt://10.0.0.1:1/"])
def test_addresses_of_brokers(url):
    check_broker_url(url)


@pytest.mark.parametrize(
    "url",
    ["broker:1883", "tcp://broker", "mqtt://", "mqtt://u:hunter2@broker", "mqtt://b:0", "mqtt://b:99999", "mqtt://b/x"],
)
def test_what_is_no_address_of_a_broker_is_refused_and_not_shown(url):
    with pytest.raises(SettingsError, match="expected") as caught:
        check_broker_url(url)
    assert "hunter2" not in str(caught.value)

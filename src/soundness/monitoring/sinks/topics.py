"""Topics of MQTT, and what Home Assistant is told of them. Arithmetic alone."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from soundness.errors import SettingsError
from soundness.monitoring.store.records import SensorState

__all__ = ["ALARM_ATTRIBUTES", "Topics", "check_topics", "entity_id", "topic_level"]


ALARM_ATTRIBUTES = "alarm/attributes"
"""Value of a sensor that holds the last change of its alarms, as JSON."""


def topic_level(name: str) -> str:
    """Name of a sensor as a level of a topic: letters, digits, dot and hyphen of any script; ``_`` for all else.

    >>> topic_level("Pumpe 3, süd")
    'Pumpe_3_süd'
    """
    return re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name))


def entity_id(name: str) -> str:
    """Name of a sensor in ASCII, other for each topic, as Home Assistant takes it.

    >>> entity_id("pump 3"), entity_id("süd")
    ('pump_3', 's_d_7c2106')
    """
    level = topic_level(name)
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", level)
    return plain if plain == level else f"{plain}_{hashlib.sha256(level.encode()).hexdigest()[:6]}"


def check_topics(names: Sequence[str]) -> None:
    """Make sure that no two sensors have the same topics.

    Raises
    ------
    SettingsError
        If two have; the message names them.
    """
    seen: dict[str, str] = {}
    for name in names:
        level = topic_level(name)
        if level in seen:
            raise SettingsError(
                f"sensors {seen[level]!r} and {name!r} would have the same topics of MQTT, with {level!r} in them; "
                f"expected names that differ in letters or digits"
            )
        seen[level] = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Topics of a monitor.

    Parameters
    ----------
    prefix
        First part of all of them.
    home_assistant
        Prefix of Home Assistant's discovery; empty for none.
    client_id
        Identity of the monitor at its broker.
    """

    prefix: str
    home_assistant: str
    client_id: str

    @property
    def status(self) -> str:
        """Topic that says ``online`` or ``offline``."""
        return f"{self.prefix}/status"

    def of(self, sensor: str, value: str) -> str:
        """Topic of a value of a sensor."""
        return f"{self.prefix}/{topic_level(sensor)}/{value}"

    @property
    def discovery_filter(self) -> str:
        """All discovery topics of this monitor."""
        return f"{self.home_assistant}/+/{self.client_id}/+/config"

    def discovery(self, sensor: str, *, public_url: str = "") -> dict[str, dict[str, Any]]:
        """Discovery messages of a sensor, by topic: a device with its state, alarm, score, p-value and level."""
        entity = entity_id(sensor)
        device = {"identifiers": [f"{self.client_id}_{entity}"], "name": sensor, "manufacturer": "soundness"}
        if public_url:
            device["configuration_url"] = public_url
        found = {}
        for value, (component, about) in _ENTITIES.items():
            found[f"{self.home_assistant}/{component}/{self.client_id}/{entity}_{value}/config"] = {
                "unique_id": f"{self.client_id}_{entity}_{value}",
                "state_topic": self.of(sensor, value),
                "availability_topic": self.status,
                "device": device,
                **about,
                **({"json_attributes_topic": self.of(sensor, ALARM_ATTRIBUTES)} if value == "alarm" else {}),
            }
        return found


_MEASURED = {"state_class": "measurement"}
_ENTITIES: dict[str, tuple[str, dict[str, Any]]] = {
    "state": ("sensor", {"name": "State", "device_class": "enum", "options": list(get_args(SensorState))}),
    "alarm": ("binary_sensor", {"name": "Alarm", "device_class": "problem"}),
    "score": ("sensor", {"name": "Score", **_MEASURED}),
    "p_value": ("sensor", {"name": "P-value", "suggested_display_precision": 4, **_MEASURED}),
    "level": ("sensor", {"name": "Level", "unit_of_measurement": "dBFS", **_MEASURED}),
}
"""Component and description of each value of a sensor."""

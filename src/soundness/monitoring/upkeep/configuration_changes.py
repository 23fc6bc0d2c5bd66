"""Changes of the configuration between two starts, noted in the store; sensors that are in it no more."""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sql

from soundness.monitoring.configuration.monitor_settings import MonitorSettings
from soundness.monitoring.sources.protocol import without_secret
from soundness.monitoring.store.store import Store
from soundness.monitoring.store.tables import changes

__all__ = ["note_configuration"]

_WHAT = "configuration"


def note_configuration(store: Store, settings: MonitorSettings, *, now_us: int) -> None:
    """Note what has changed since the last start, and that sensors which are not there any more have stopped.

    A setting is noted by its name, as in ``sensor.pump 3.false_alarms``, with its values before and now.
    """
    now = dict(_flat(settings.model_dump(mode="json")))
    query = sql.select(changes.c.details).where(changes.c.what == _WHAT).order_by(changes.c.id.desc()).limit(1)
    with store.reading() as connection:
        last = connection.execute(query).scalar()
    before = {} if last is None else last["settings"]
    names = {one.name for one in settings.sensor}
    with store.transaction() as transaction:
        if now != before:
            changed = {
                name: [before.get(name), now.get(name)]
                for name in sorted({*before, *now})
                if before.get(name) != now.get(name)
            }
            transaction.note_change(_WHAT, now_us=now_us, settings=now, changed={} if last is None else changed)
        for sensor in store.sensors():
            if sensor.name not in names and sensor.state != "stopped":
                note = "not in the configuration"
                transaction.update_sensor(sensor.id, state="stopped", state_since_us=now_us, state_note=note)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values by the names of their settings, those of sensors and sinks by theirs."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for one in value:
                yield from _flat(one, f"{prefix}{key}.{one.get('name', '')}.")
        else:
            yield f"{prefix}{key}", without_secret(value) if key in ("source", "url") else value

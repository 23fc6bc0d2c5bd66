"""Alarms of a watch to another server: one JSON object each, by POST."""

import sqlalchemy as sql

from soundness.monitoring.sinks.messages import event_values, iso_time
from soundness.monitoring.sinks.webhook import WebhookSink
from soundness.monitoring.store import tables
from soundness.monitoring.store.records import Delivery
from soundness.monitoring.store.store import Store

__all__ = ["AlarmPosts", "count_unsent_alarms"]

SINK = "webhook"


class AlarmPosts(WebhookSink):
    """Posts the beginning of each alarm, and not its end: who takes alarms of a watch takes each post for one.

    Parameters
    ----------
    url
        Address, which may be secret.

    Raises
    ------
    SettingsError
        If the address is none.
    """

    def __init__(self, url: str) -> None:
        super().__init__(SINK, url)

    def send(self, delivery: Delivery) -> None:
        """Post an alarm that begins; see `soundness.monitoring.sinks.webhook.WebhookSink.send`."""
        if delivery.content.get("event") == "raised":
            super().send(delivery)

    def values(self, delivery: Delivery) -> dict[str, object]:
        """``id``, ``time`` of scoring, ``machine``, ``file``, ``score``, ``p_value``, ``raised`` and ``reason``."""
        found = event_values(delivery)
        names = ("score", "p_value", "raised", "reason")
        about = {"machine": found["sensor"], "file": found.get("recording", "")}
        return {"id": found["id"], "time": iso_time(delivery.created_us), **about, **{one: found[one] for one in names}}


def count_unsent_alarms(store: Store) -> int:
    """Alarms that have not reached the webhook.

    Raises
    ------
    OutputError
        If the store cannot be read.
    """
    table = tables.deliveries
    is_left = (table.c.sink == SINK) & table.c.sent_us.is_(None) & table.c.key.endswith(":raised")
    with store.reading() as connection:
        return int(connection.execute(sql.select(sql.func.count()).select_from(table).where(is_left)).scalar() or 0)

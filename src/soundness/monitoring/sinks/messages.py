"""Event of an alarm as plain values for programs, and in two sentences for people. Arithmetic alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from soundness.monitoring.store.records import Delivery
from soundness.monitoring.store.times import shown_time
from soundness.plain_text import stored_text

__all__ = ["Notice", "alarm_link", "alarm_values", "event_values", "iso_time", "notice_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Event in words.

    Parameters
    ----------
    title
        Title, such as ``Alarm: pump 3``.
    sentences
        Event, place and time; and the reason.
    link
        Address of the alarm's page; empty where none is known.
    """

    title: str
    sentences: tuple[str, ...]
    link: str

    @property
    def text(self) -> str:
        """Sentences and link."""
        words = " ".join(self.sentences)
        return f"{words}\n{self.link}" if self.link else words


def event_values(delivery: Delivery, *, public_url: str = "") -> dict[str, Any]:
    """Values of an event as programs get them.

    Parameters
    ----------
    delivery
        The event.
    public_url
        Address under which the pages are reached; empty if they are not.

    Returns
    -------
    dict
        ``id``, the same if the event is sent twice, ``alarm``, the same for all events of an alarm, ``event``
        (``raised``, ``ended`` or ``resumed``), ``sensor``, ``kind``, ``raised`` and ``ended`` in ISO 8601, UTC,
        ``score``, ``p_value``, ``reason``, where there are pages ``link``, and ``recording``, the file with which an
        alarm is raised, where a sensor's sound is from files.
    """
    return {"id": stored_text(delivery.key), **alarm_values(delivery.content, public_url=public_url)}


def alarm_values(content: Mapping[str, Any], *, public_url: str = "") -> dict[str, Any]:
    """Values of an alarm's event without the key of a delivery; see `event_values`."""
    link = alarm_link(content, public_url=public_url)
    values = {
        "alarm": content.get("id"),
        "event": content.get("event"),
        "sensor": content.get("sensor"),
        "kind": content.get("kind"),
        "raised": iso_time(content.get("raised_us")),
        "ended": iso_time(content.get("ended_us")),
        "score": _finite(content.get("score")),
        "p_value": _finite(content.get("p_value")),
        "reason": content.get("reason", ""),
        **({"link": link} if link else {}),
        **({"recording": content["recording"]} if content.get("recording") else {}),
    }
    return {name: stored_text(value) for name, value in values.items()}


def alarm_link(content: Mapping[str, Any], *, public_url: str) -> str:
    """Address of an alarm's page; empty where no pages are reached."""
    key = content.get("id")
    return "" if not public_url or key is None else f"{public_url.rstrip('/')}/alarms/{key}"


def notice_of(delivery: Delivery, *, public_url: str = "") -> Notice:
    """Event in a title and two sentences: what, where, since when, and why."""
    content = delivery.content
    sensor, kind, event = (str(content.get(name)) for name in ("sensor", "kind", "event"))
    since, ended = shown_time(content.get("raised_us")), content.get("ended_us")
    title, words = _TITLES.get((kind, event), _TITLES.get((kind, "raised"), _OTHER))
    sentence = words.format(sensor=sensor, since=since, ended=shown_time(ended), lasted=_lasted(content))
    reason = str(content.get("reason") or "").strip()
    if reason and event != "ended":
        reason = reason[:1].upper() + reason[1:]
        sentences: tuple[str, ...] = (sentence, reason if reason.endswith((".", "!", "?")) else f"{reason}.")
    else:
        sentences = (sentence,)
    link = alarm_link(content, public_url=public_url)
    return Notice(title=title.format(sensor=sensor), sentences=tuple(map(stored_text, sentences)), link=link)


_OTHER = ("Event: {sensor}", "Something happened at {sensor} at {since}.")
_TITLES = {
    ("anomaly", "raised"): ("Alarm: {sensor}", "{sensor} has sounded anomalous since {since}."),
    ("anomaly", "resumed"): ("Alarm again: {sensor}", "{sensor} sounds anomalous again; it first did at {since}."),
    ("anomaly", "ended"): ("Alarm over: {sensor}", "{sensor} has sounded normal again since {ended}, after {lasted}."),
    ("fault", "raised"): ("Sensor fault: {sensor}", "The sensor of {sensor} has given no usable sound since {since}."),
    ("fault", "ended"): ("Sensor works: {sensor}", "The sensor of {sensor} has given sound again since {ended}."),
    ("drift", "raised"): ("Drift: {sensor}", "The normal sound of {sensor} has been drifting since {since}."),
    ("drift", "ended"): (
        "Drift over: {sensor}",
        "The normal sound of {sensor} has kept still since {ended}.",
    ),
}
"""Title and first sentence by kind of the alarm and event."""


def _lasted(content: Mapping[str, Any]) -> str:
    start, end = content.get("raised_us"), content.get("ended_us")
    if start is None or end is None:
        return "an unknown time"
    seconds = max(0, round((end - start) / 1e6))
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds} seconds"


def iso_time(time_us: int | None) -> str | None:
    """Time in ISO 8601, UTC, with milliseconds; ``None`` stays."""
    if time_us is None:
        return None
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

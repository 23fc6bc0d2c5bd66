"""Tables of a monitor's database.

Times are microseconds since 1970, UTC, in columns that end in ``_us``.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["alarms", "changes", "clips", "deliveries", "detectors", "metadata", "recordings", "sensors"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Key = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up integers alone

sensors = Table(
    "sensors",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("source", Text, nullable=False),  # without secrets
    Column("state", String(20), nullable=False),
    Column("state_since_us", BigInteger, nullable=False),
    Column("state_note", Text, nullable=False, default=""),
    Column("first_us", BigInteger),  # start of its first clip
    Column("ignored_until_us", BigInteger),
    Column("details", JSON, nullable=False, default=dict),  # of learning, thresholds and trend, by name
)
"""Sensors. A state is one of `soundness.monitoring.store.records.SensorState`."""

detectors = Table(
    "detectors",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("sensor_id", ForeignKey("sensors.id"), nullable=False, index=True),
    Column("file", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("installed_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", JSON, nullable=False, default=dict),
)
"""Detectors that have been in use, the latest of a sensor last."""

clips = Table(
    "clips",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("sensor_id", ForeignKey("sensors.id"), nullable=False),
    Column("number", BigInteger, nullable=False),  # counts up from 1 for each sensor
    Column("start_us", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("score", Float),
    Column("p_value", Float),
    Column("threshold", Float),  # of the score, at the time of the clip: it follows normal sound
    Column("is_anomalous", Boolean, nullable=False, default=False),
    Column("level_db", Float),
    Column("state", String(20), nullable=False),
    Column("detector_id", ForeignKey("detectors.id")),
    Column("alarm_id", BigInteger),  # alarm that it is a part of
    Column("note", Text, nullable=False, default=""),
    Column("audio", Text, nullable=False, default=""),  # below the store's folder
    Column("recording", Text, nullable=False, default=""),  # name of the file that it is from, where it is from one
    UniqueConstraint("sensor_id", "number"),
    Index("ix_clips_outcome_id", "outcome", "id"),
    Index("ix_clips_sensor_id_outcome_number", "sensor_id", "outcome", "number"),
    # All that a chart is made of: the rows of one sensor lie far apart, among those of the others.
    Index(
        "ix_clips_chart",
        *("sensor_id", "start_us", "outcome", "score", "threshold", "p_value", "is_anomalous", "level_db", "seconds"),
    ),
)
"""Clips, and the gaps between them; an outcome is one of `soundness.monitoring.store.records.Outcome`."""

recordings = Table(
    "recordings",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("sensor_id", ForeignKey("sensors.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("content", String(64), nullable=False),
    Column("n_clips", Integer, nullable=False),  # clips of it that have a row
    Column("is_complete", Boolean, nullable=False),  # all of it has a row
    Column("is_scored", Boolean, nullable=False),  # none of it has failed
    Column("note", Text, nullable=False, default=""),
    Column("clip_id", BigInteger),  # its last clip
    Column("noted_us", BigInteger),  # when that got its row
    UniqueConstraint("sensor_id", "name", "size", "mtime_ns"),
    Index("ix_recordings_sensor_id_content", "sensor_id", "content", "size"),
)
"""Files of sources that are folders, each once."""

alarms = Table(
    "alarms",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("key", String(36), nullable=False, unique=True),
    Column("sensor_id", ForeignKey("sensors.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("raised_us", BigInteger, nullable=False),  # start of the clip with which it began
    Column("clip_id", BigInteger),  # that clip
    Column("last_us", BigInteger, nullable=False),  # end of the last clip that was part of it
    Column("ended_us", BigInteger),  # when the machine sounded normal again
    Column("score", Float),
    Column("p_value", Float),
    Column("reason", Text, nullable=False, default=""),
    Column("acknowledged_us", BigInteger),
    Column("acknowledged_by", Text, nullable=False, default=""),
    Column("closed_us", BigInteger),
    Column("closed_by", Text, nullable=False, default=""),
    Column("verdict", String(20), nullable=False, default=""),
    Column("label", Text, nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),
    Index("ix_alarms_sensor_id_raised_us", "sensor_id", "raised_us"),
    Index("ix_alarms_raised_us", "raised_us"),
)
"""Alarms and their life; a kind is one of `soundness.monitoring.store.records.AlarmKind`."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("sink", String(80), nullable=False),
    Column("key", String(80), nullable=False),  # of the event; the same if it is sent twice
    Column("content", JSON, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("sent_us", BigInteger),
    Column("n_tries", Integer, nullable=False, default=0),
    Column("problem", Text, nullable=False, default=""),
    UniqueConstraint("sink", "key"),
    Index("ix_deliveries_sink_sent_us", "sink", "sent_us"),
)
"""Events for each sink, in their order, until they are sent."""

changes = Table(
    "changes",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("time_us", BigInteger, nullable=False, index=True),
    Column("person", Text, nullable=False, default=""),
    Column("sensor_id", BigInteger),
    Column("what", Text, nullable=False),
    Column("details", JSON, nullable=False, default=dict),
)
"""Changes of configuration, detectors, thresholds and clocks, and who made them."""

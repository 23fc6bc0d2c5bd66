"""`monitor feedback`: the answers that people gave to alarms, as a labelled data set that `evaluate` reads."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import sqlalchemy as sql

from soundness.aliases import PathLike
from soundness.data.clips import Label
from soundness.errors import DataError
from soundness.evaluation.score_files import ClipScore, write_scores
from soundness.extras import check_extra
from soundness.files.atomic import write_whole
from soundness.monitoring.capture.clip_files import link_or_copy
from soundness.monitoring.configuration.monitor_settings import load_configuration
from soundness.monitoring.learning.offline import store_of
from soundness.monitoring.store import tables
from soundness.monitoring.store.records import Alarm, ClipRow, Sensor
from soundness.monitoring.store.store import Store, row_values
from soundness.plain_text import spreadsheet_cell

__all__ = ["AnswerExport", "export_answers", "feedback"]

_QUIET_US = 3_600_000_000  # from any alarm, beyond which a clip that was not anomalous counts as normal
_HEADING = ("file", "sensor", "start_utc", "label", "answer", "kind", "note", "person", "score", "p_value", "alarm")
_LABELS: dict[str, Label] = {"fault": "anomaly", "normal": "normal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerExport:
    """Result of an export.

    Parameters
    ----------
    n_anomalous, n_normal
        Clips with each label.
    notes
        Notes on what was left out.
    """

    n_anomalous: int
    n_normal: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    """A clip and its label, by the answer to an alarm or because there was none."""

    clip: ClipRow
    label: Label
    alarm: Alarm | None


def feedback(configuration: PathLike, out: PathLike, *, quiet_clips: bool = False) -> AnswerExport:
    """Write the answers of a configuration's store to a folder; see `export_answers`."""
    check_extra("monitor")
    path = Path(configuration)
    settings = load_configuration(path)
    with store_of(settings, path.absolute().parent) as store:
        return export_answers(store, Path(out), quiet_clips=quiet_clips)


def export_answers(store: Store, out: Path, *, quiet_clips: bool = False) -> AnswerExport:
    """Write the clips of answered alarms as a labelled data set, with their scores.

    ``out/data`` holds the audio that is kept in the challenge's layout, ``out/scores`` the scores that
    `soundness evaluate` reads, a section for each version of a sensor's detector, since scores of two detectors cannot
    be compared, and ``out/answers.csv`` everything.

    Parameters
    ----------
    store
        Store of the monitor.
    out
        Folder, empty or not there.
    quiet_clips
        Add clips that were not anomalous and lie an hour or more from every alarm, as normal ones: nobody has listened
        to them, but without normal clips there is no figure.

    Raises
    ------
    DataError
        If there is no answer, or the folder is not empty.
    OutputError
        If it cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: expected an empty folder, or none")
    rows: list[tuple[str, ...]] = []
    counts: dict[Label, int] = {"normal": 0, "anomaly": 0}
    n_without_audio = 0
    for sensor in store.sensors():
        labelled = list(_labelled(store, sensor, quiet_clips=quiet_clips))
        sections = {row.id: f"section_{index:02d}" for index, row in enumerate(store.detectors(sensor.id))}
        scores: dict[str, list[ClipScore]] = {}
        for index, one in enumerate(labelled):
            section = sections.get(one.clip.detector_id or 0, "section_99")
            name = f"{section}_source_test_{one.label}_{index:05d}_{_word(one)}.flac"
            score = float(one.clip.score or 0.0)
            scores.setdefault(section, []).append(ClipScore(name, score, int(one.clip.is_anomalous)))
            rows.append(_row(name, sensor, one))
            counts[one.label] += 1
            audio = store.folder / one.clip.audio
            if one.clip.audio and audio.is_file():
                link_or_copy(audio, out / "data" / sensor.name / "test" / name)
            else:
                n_without_audio += 1
        for section, own in scores.items():
            write_scores(out / "scores", sensor.name, section, own)
    if not rows:
        raise DataError("no alarm was answered with fault or normal yet: nothing to export")
    write_whole(out / "answers.csv", _table(rows))
    notes = (f"{n_without_audio} of {len(rows)} clips have a score and no audio, which is not kept any more",)
    return AnswerExport(
        n_anomalous=counts["anomaly"], n_normal=counts["normal"], notes=notes if n_without_audio else ()
    )


def _labelled(store: Store, sensor: Sensor, *, quiet_clips: bool) -> Iterator[_Labelled]:
    """Anomalous clips of answered alarms, and quiet ones, in the order of time."""
    alarms = [alarm for alarm in _alarms(store, sensor) if alarm.kind == "anomaly"]
    for clip in _scored(store, sensor):
        own = next((one for one in alarms if one.raised_us <= clip.start_us <= one.last_us), None)
        if own is not None:
            if own.verdict in _LABELS and clip.is_anomalous:
                yield _Labelled(clip=clip, label=_LABELS[own.verdict], alarm=own)
        elif quiet_clips and not clip.is_anomalous and _is_quiet(clip, alarms):
            yield _Labelled(clip=clip, label="normal", alarm=None)


def _is_quiet(clip: ClipRow, alarms: Iterable[Alarm]) -> bool:
    return not any(
        one.raised_us - _QUIET_US <= clip.start_us <= one.last_us + _QUIET_US
        for one in alarms
        if one.verdict != "normal"
    )


def _alarms(store: Store, sensor: Sensor) -> list[Alarm]:
    table = tables.alarms
    query = sql.select(table).where(table.c.sensor_id == sensor.id).order_by(table.c.id)
    with store.reading() as connection:
        return [row_values(Alarm, row) for row in connection.execute(query).mappings()]


def _scored(store: Store, sensor: Sensor) -> Iterator[ClipRow]:
    """Scored clips of a sensor by time; a month has a quarter of a million."""
    table = tables.clips
    query = sql.select(table).where(table.c.sensor_id == sensor.id, table.c.outcome == "scored")
    with store.reading() as connection:
        for row in connection.execution_options(yield_per=1_000).execute(query.order_by(table.c.number)).mappings():
            yield row_values(ClipRow, row)


def _word(one: _Labelled) -> str:
    """Word of a file's name: the label that a person gave, else the kind of answer."""
    given = "" if one.alarm is None else one.alarm.label or one.alarm.verdict
    return re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")[:40] or "quiet"


def _row(name: str, sensor: Sensor, one: _Labelled) -> tuple[str, ...]:
    clip, alarm = one.clip, one.alarm
    start = datetime.fromtimestamp(clip.start_us / 1e6, UTC).isoformat(timespec="milliseconds")
    answer = "" if alarm is None else alarm.verdict
    told = ("", "", "", "") if alarm is None else (alarm.label, alarm.note, alarm.closed_by, alarm.key)
    label, note, person, key = map(spreadsheet_cell, told)
    score, p_value = (f"{value!r}" if value is not None else "" for value in (clip.score, clip.p_value))
    return name, spreadsheet_cell(sensor.name), start, one.label, answer, label, note, person, score, p_value, key


def _table(rows: list[tuple[str, ...]]) -> str:
    stream = StringIO()
    csv.writer(stream, lineterminator="\n").writerows([_HEADING, *rows])
    return stream.getvalue()

"""Recordings that a folder's source has found: each is recorded once it is whole."""

from dataclasses import replace
from typing import TYPE_CHECKING

from soundness.errors import AudioError, OutputError, UnreadableError
from soundness.monitoring.capture.clip_files import ClipFile, level_of
from soundness.monitoring.capture.recorded import recorded_clip
from soundness.monitoring.recording_files import is_recent, stamp_of
from soundness.monitoring.sources.protocol import RecordingClip
from soundness.monitoring.store.recordings import note_recording
from soundness.monitoring.store.records import ClipRow
from soundness.monitoring.store.times import utc_us
from soundness.plain_text import one_line

if TYPE_CHECKING:  # which imports this module
    from soundness.monitoring.live.recorder import Recorder

__all__ = ["record_recording"]


def record_recording(recorder: "Recorder", recording: RecordingClip, number: int) -> None:
    """Record a recording of a folder, or a part of one, unless it turns out to be still being written."""
    row = replace(recorder.row(number, recording.start_us), seconds=recording.seconds, recording=recording.name)
    if recording.known_as:
        recorder.writer.transaction(
            lambda write: note_recording(write, row, recording, is_scored=True, now_us=utc_us())  # it has no clip
        )
        return
    if recording.problem:
        _fail(recorder, row, recording, recording.problem)
    elif recording.longest_seconds is not None:
        _score(recorder, row, recording, None)
    else:
        _record_copy(recorder, row, recording)


def _record_copy(recorder: "Recorder", row: ClipRow, recording: RecordingClip) -> None:
    """Record a recording, of whose sound a copy is kept for a while."""
    files, own = recorder.sensor.files, recorder.sensor.settings
    is_trained = own.detector is not None  # on recordings with all their channels
    try:
        clip = recorder.writer.on_disk(
            lambda: recorded_clip(files, recording, row.number, channel=own.channel, has_all_channels=is_trained)
        )
        row = replace(row, level_db=level_of(clip.path))
    except (AudioError, OutputError) as error:
        if not _is_left(recording, error):
            _fail(recorder, row, recording, error.reason if isinstance(error, AudioError) else str(error))
        return
    try:
        if recorder.detector is None:
            recorder.learn_from(clip, row, recording)
        else:
            _score(recorder, row, recording, clip)
    finally:
        files.forget_scored(clip)


def _score(recorder: "Recorder", row: ClipRow, recording: RecordingClip, clip: ClipFile | None) -> None:
    path = recording.path if clip is None else clip.scored_path
    try:
        found = recorder.scored(path, longest_seconds=recording.longest_seconds)
    except AudioError as error:
        if not _is_left(recording, error):
            gone = stamp_of(recording.path) is None
            _fail(recorder, row, recording, "gone before it could be read" if gone else error.reason, clip)
            return
    else:
        if not _is_left(recording):
            recorder.judge(found, row, path, clip=clip, recording=recording)
            return
    if clip is not None:
        recorder.sensor.files.forget(clip)


def _fail(
    recorder: "Recorder", row: ClipRow, recording: RecordingClip, reason: str, clip: ClipFile | None = None
) -> None:
    note = one_line(f"{recording.name}: {reason}")
    recorder.finish(
        clip, replace(row, outcome="failed", note=note), recording=replace(recording, problem=one_line(reason))
    )


def _is_left(recording: RecordingClip, error: Exception | None = None) -> bool:
    """True if a recording was still being written while it was read; then it is looked at again."""
    if recording.samples is not None:  # a part that was read before
        return False
    stamp = stamp_of(recording.path)
    is_left = stamp is not None and (
        stamp != recording.stamp or (isinstance(error, UnreadableError) and is_recent(stamp))
    )
    if is_left:
        recording.put_back()
    return is_left

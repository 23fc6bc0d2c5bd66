"""Clips of recordings that others made: what is scored of them, and what is kept."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import Waveform
from soundness.audio.reading import pick_channel, read_blocks, read_info
from soundness.errors import OutputError
from soundness.files.atomic import output_errors
from soundness.monitoring.capture.clip_files import ClipFile, ClipFolder
from soundness.monitoring.sources.protocol import RecordingClip

__all__ = ["recorded_clip"]


def recorded_clip(
    files: ClipFolder, recording: RecordingClip, number: int, *, channel: int, has_all_channels: bool
) -> ClipFile:
    """Clip of a recording: one channel of it as a FLAC in the ring, and the file that is scored.

    A whole recording of one channel is scored as it is, and what cannot be kept exactly in a FLAC in a file of floats.

    Parameters
    ----------
    files
        Clips on disk.
    recording
        The recording, or a part of one.
    number
        Number of the clip.
    channel
        Channel that is kept, from 0.
    has_all_channels
        Score all channels, for a detector that was trained on them; else the one that is kept.

    Raises
    ------
    AudioError
        If it cannot be read, or has no such channel.
    OutputError
        If it cannot be written.
    """
    samples, sample_rate = recording.samples, recording.sample_rate
    if samples is None:
        sample_rate = read_info(recording.path).sample_rate
        samples = np.concatenate(list(read_blocks(recording.path)))
    one = pick_channel(samples.T, channel=channel)[0]
    clip = files.add(one, number=number, start_us=recording.start_us, sample_rate=sample_rate)
    is_one = samples.shape[1] == 1
    if recording.samples is None and (is_one or has_all_channels):
        return replace(clip, original=recording.path)
    if is_one or not has_all_channels:
        if np.abs(one).max(initial=0.0) <= 1.0:
            return clip
        samples = one[:, None]
    return replace(clip, original=_written(files, samples, number, sample_rate=sample_rate))


def _written(files: ClipFolder, samples: Waveform, number: int, *, sample_rate: int) -> Path:
    path, encoded = files.ring / f"{number}-scored.wav", io.BytesIO()
    try:
        soundfile.write(encoded, samples, sample_rate, format="WAV", subtype="FLOAT")
    except soundfile.SoundFileError as error:
        raise OutputError(f"{path}: {error}") from None
    with output_errors(path):
        path.write_bytes(encoded.getbuffer())
    return path

"""Choice of the view that leads a decoder to all sound of a file, by its first bytes."""

from collections.abc import Callable
from typing import BinaryIO

from soundness.audio.containers.flac import view_of_flac
from soundness.audio.containers.frames import is_adts, view_of_adts, view_of_amr
from soundness.audio.containers.iff import view_of_core_audio, view_of_iff
from soundness.audio.containers.mpeg import end_of_id3, view_of_mpeg
from soundness.audio.containers.ogg import views_of_ogg
from soundness.audio.containers.plain_headers import view_of_au, view_of_avr, view_of_nist, view_of_voice
from soundness.audio.containers.riff import view_of_riff, view_of_wave64
from soundness.audio.containers.views import SoundView

__all__ = ["views_of_sound"]

_FEWEST_BYTES = 12
_MEDIA = (b"\x1aE\xdf\xa3", b"0&\xb2u")  # Matroska, Windows Media

View = Callable[[BinaryIO, int], SoundView]

_VIEWS: dict[bytes, View] = {
    b"RIFF": view_of_riff,
    b"RIFX": view_of_riff,
    b"RF64": view_of_riff,
    b"BW64": view_of_riff,
    b"riff": view_of_wave64,
    b"fLaC": view_of_flac,
    b"FORM": view_of_iff,
    b"caff": view_of_core_audio,
    b".snd": view_of_au,
    b"dns.": view_of_au,
    b"NIST": view_of_nist,
    b"2BIT": view_of_avr,
    b"Crea": view_of_voice,
    b"#!AM": view_of_amr,
}


def views_of_sound(file: BinaryIO, n_bytes: int) -> tuple[SoundView, ...]:
    """Views of a file that lead a decoder to all of its sound; of one recording behind the other, one each.

    Parameters
    ----------
    file
        The file, opened to read bytes; its position is moved.
    n_bytes
        Its size.

    Raises
    ------
    AudioError
        If it is cut short, or its sound cannot be read to the end.
    """
    start = end_of_id3(file)
    file.seek(start)
    head = file.read(_FEWEST_BYTES)
    if len(head) == _FEWEST_BYTES and head[:4] in _VIEWS and start == 0:
        return (_VIEWS[head[:4]](file, n_bytes),)
    if head[:4] == b"OggS" and start == 0:
        return views_of_ogg(file, n_bytes)
    if is_adts(head):
        return (view_of_adts(file, n_bytes),)
    if head[4:8] == b"ftyp" or head[:4] in _MEDIA:
        return (SoundView(),)
    return (view_of_mpeg(file, start, n_bytes) or SoundView(),)

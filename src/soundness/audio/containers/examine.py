"""Choice of the view that leads a decoder to all sound of a file, by its first bytes."""

from collections.abc import Callable
from typing import BinaryIO

from soundness.audio.containers.riff import view_of_riff, view_of_wave64
from soundness.audio.containers.views import SoundView

__all__ = ["view_of_sound"]

_FEWEST_BYTES = 12

View = Callable[[BinaryIO, int], SoundView]

_VIEWS: dict[bytes, View] = {
    b"RIFF": view_of_riff,
    b"RIFX": view_of_riff,
    b"RF64": view_of_riff,
    b"BW64": view_of_riff,
    b"riff": view_of_wave64,
}


def view_of_sound(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of a file that leads a decoder to all of its sound.

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
    file.seek(0)
    head = file.read(_FEWEST_BYTES)
    view = _VIEWS.get(head[:4])
    return SoundView() if view is None or len(head) < _FEWEST_BYTES else view(file, n_bytes)

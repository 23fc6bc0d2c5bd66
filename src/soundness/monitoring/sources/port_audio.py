"""Microphones of this computer, as PortAudio lists them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition
from typing import Any

from soundness.errors import DataError, MissingExtraError
from soundness.extras import check_extra
from soundness.monitoring.sources.shared_input import SharedInputs
from soundness.plain_text import shown_name

__all__ = ["Microphone", "PortAudio", "find_microphone", "list_microphones"]

_LISTING_SECONDS = 20.0
_LISTING = "import json, sounddevice; print(json.dumps([d['name'] for d in sounddevice.query_devices()]))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Microphone:
    """A device that sound can be recorded from.

    Parameters
    ----------
    index
        Its number, which changes as devices come and go.
    name
        Its name.
    interface
        Interface of the system that it is reached by, such as ``ALSA``.
    n_channels
        Number of channels.
    sample_rate
        Its own rate in Hz.
    is_default
        True for the one that is used where none is chosen.
    """

    index: int
    name: str
    interface: str
    n_channels: int
    sample_rate: int
    is_default: bool = False


class PortAudio:
    """The one connection of this process to its sound devices.

    PortAudio finds new devices only when it is begun anew, which ends all that is open. So it is begun anew when
    nothing is open, or when all that is open has been asked to close.

    Attributes
    ----------
    inputs
        Open devices.
    """

    def __init__(self) -> None:
        self.inputs = SharedInputs()
        self._change = Condition()
        self._n_open = 0
        self._is_wanted = False

    @property
    def wants_rescan(self) -> bool:
        """True if microphones are to be closed, and opened again, so that new ones are found."""
        return self._is_wanted

    @contextmanager
    def in_use(self) -> Iterator[Any]:
        """Context in which devices stay as they are; gives the module of sounddevice.

        Raises
        ------
        MissingExtraError
            If sounddevice or PortAudio is not installed.
        """
        sounddevice = _sounddevice()
        with self._change:
            self._change.wait_for(lambda: not self._is_wanted, timeout=_LISTING_SECONDS)
            self._n_open += 1
        try:
            yield sounddevice
        finally:
            with self._change:
                self._n_open -= 1
                if self._n_open == 0 and self._is_wanted:
                    self._rescan(sounddevice)
                self._change.notify_all()

    def look_again(self, name: str) -> None:
        """Look for a device that is not there, where that disturbs none that is open or it is there by now."""
        sounddevice = _sounddevice()
        with self._change:
            if self._n_open == 0:
                self._rescan(sounddevice)
                return
        names = _names_elsewhere()
        if int(name) < len(names) if name.isdigit() else any(name.casefold() in each.casefold() for each in names):
            with self._change:
                self._is_wanted = self._n_open > 0

    def _rescan(self, sounddevice: Any) -> None:
        self._is_wanted = False
        sounddevice._terminate()
        sounddevice._initialize()


def list_microphones() -> list[Microphone]:
    """Devices with input channels.

    Raises
    ------
    MissingExtraError
        If sounddevice or PortAudio is not installed.
    """
    sounddevice = _sounddevice()
    interfaces = [each["name"] for each in sounddevice.query_hostapis()]
    default = sounddevice.default.device[0]
    return [
        Microphone(
            index=int(each["index"]),
            name=str(each["name"]),
            interface=interfaces[each["hostapi"]],
            n_channels=int(each["max_input_channels"]),
            sample_rate=round(each["default_samplerate"]),
            is_default=each["index"] == default,
        )
        for each in sounddevice.query_devices()
        if each["max_input_channels"] > 0
    ]


def find_microphone(name: str, microphones: Sequence[Microphone]) -> Microphone:
    """Microphone of a number, a name, or a part of one that no other has.

    Raises
    ------
    DataError
        If there is none, or there are several.
    """
    if name.isdigit():
        found = [each for each in microphones if each.index == int(name)]
    else:
        text = name.casefold()
        found = [each for each in microphones if each.name.casefold() == text]
        found = found or [each for each in microphones if text in each.name.casefold()]
    if len(found) == 1:
        return found[0]
    if not microphones:
        raise DataError(f"no microphone {shown_name(name)}: none is plugged in, or none may be used by this user")
    names = ", ".join(f"{each.index} {shown_name(each.name)}" for each in found or microphones)
    words = "several microphones of this name" if found else "no such microphone"
    raise DataError(f"{words}: {shown_name(name)}; there {'are' if found else 'is'}: {names}")


def _sounddevice() -> Any:
    check_extra("microphones")
    try:
        import sounddevice  # type: ignore[import-untyped]  # it ships no types
    except OSError as error:
        raise MissingExtraError(
            f"microphones need the library PortAudio, which is not installed ({error}); on Debian: "
            "apt install libportaudio2"
        ) from None
    return sounddevice


def _names_elsewhere() -> list[str]:
    """Names of the devices that a process finds which looks now; none if that fails."""
    command = [sys.executable, "-c", _LISTING]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LISTING_SECONDS, check=True)
        return list(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return []  # it is looked for again later

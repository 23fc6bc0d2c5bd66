"""Microphones and other inputs of this computer."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any, ClassVar, Self

from soundness.errors import DataError, SettingsError
from soundness.monitoring.sources.items import opened_again
from soundness.monitoring.sources.options import check_known, number
from soundness.monitoring.sources.port_audio import Microphone, PortAudio, find_microphone, list_microphones
from soundness.monitoring.sources.protocol import Address, Block, Item, Lost, SourceSettings, SourceState
from soundness.monitoring.sources.shared_input import ChannelQueue, SharedInput
from soundness.plain_text import counted

__all__ = ["MicrophoneSource"]

_SILENT_SECONDS = 5.0  # without a block, after which a device is opened again
_OPTIONS = ("rate",)

_PORT_AUDIO = PortAudio()


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrophoneSource:
    """A microphone; one that is unplugged is opened again when it is back.

    Parameters
    ----------
    device
        Its number, its name, or a part of it that no other has.
    channel
        Channel that is used, from 0.
    sample_rate
        Rate in Hz; ``None`` for its own.
    port_audio
        Connection to the devices, one in a process.
    """

    device: str
    channel: int
    sample_rate: int | None = None
    port_audio: PortAudio = _PORT_AUDIO

    is_live: ClassVar[bool] = True

    @classmethod
    def from_address(cls, address: Address, settings: SourceSettings) -> Self:
        """Source of ``mic:NAME-OR-NUMBER?rate=48000``."""
        check_known(address.options, _OPTIONS, scheme="mic")
        rate = None
        if "rate" in address.options:
            rate = round(number(address.options, "rate", 0, least=1_000, scheme="mic"))
        return cls(device=address.place, channel=settings.channel, sample_rate=rate)

    def items(self, state: SourceState, stop: Event) -> Iterator[Item]:  # noqa: ARG002  # it cannot be read again
        """See `soundness.monitoring.sources.protocol.Source`."""
        yield from opened_again(lambda: self._opened(stop), stop)

    def check(self) -> str:
        """See `soundness.monitoring.sources.protocol.Source`."""
        found = find_microphone(self.device, list_microphones())
        self._check(found)
        return f"{found.name}, {counted(found.n_channels, 'channel')}"

    def _opened(self, stop: Event) -> Iterator[Item]:
        """Items of the microphone until it fails."""
        try:
            with self.port_audio.in_use() as sounddevice:
                found = find_microphone(self.device, list_microphones())
                self._check(found)
                yield from self._blocks(sounddevice, found, stop)
                return
        except DataError as error:
            yield Lost(reason=str(error), is_fault=True)
        self.port_audio.look_again(self.device)

    def _check(self, found: Microphone) -> None:
        if self.channel >= found.n_channels:
            raise SettingsError(
                f"mic:{self.device}: {found.name} has {counted(found.n_channels, 'channel')}; channel {self.channel} "
                "(counted from 0) is needed"
            )

    def _blocks(self, sounddevice: Any, found: Microphone, stop: Event) -> Iterator[Item]:
        rate = found.sample_rate if self.sample_rate is None else self.sample_rate
        try:
            with self.port_audio.inputs.joined(sounddevice, found.index, channel=self.channel, sample_rate=rate) as (
                shared,
                own,
            ):
                yield from self._incoming(own, shared, rate, stop)
        except sounddevice.PortAudioError as error:
            words = str(error.args[0]).strip() if error.args else "an error of PortAudio"
            yield Lost(reason=f"the microphone {found.name} cannot be read: {words}", is_fault=True)

    def _incoming(self, incoming: ChannelQueue, shared: SharedInput, rate: int, stop: Event) -> Iterator[Item]:
        last = time.monotonic()
        while not stop.is_set():
            for samples in incoming.take():
                last = time.monotonic()
                if samples is None:
                    yield Lost(reason="overrun: the computer did not take the sound of the microphone in time")
                else:
                    yield Block(samples=samples, sample_rate=rate)
            if self.port_audio.wants_rescan:
                yield Lost(reason="microphones are looked for anew, since one has been plugged in")
                return
            if shared.is_closed:
                yield Lost(reason="the microphone is opened again, for another of its channels")
                return
            if not shared.is_active:
                yield Lost(reason="the microphone is unplugged or has failed", is_fault=True)
                return
            if time.monotonic() - last > _SILENT_SECONDS:
                yield Lost(reason=f"the microphone gives nothing for {_SILENT_SECONDS:g} s", is_fault=True)
                return

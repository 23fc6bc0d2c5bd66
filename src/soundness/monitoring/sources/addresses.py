"""Addresses of sources, and the source of each scheme."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qsl

from soundness.errors import SettingsError
from soundness.monitoring.sources.folder import FolderSource
from soundness.monitoring.sources.microphone import MicrophoneSource
from soundness.monitoring.sources.pcm import PcmSource
from soundness.monitoring.sources.protocol import Address, Source, SourceSettings, without_secret
from soundness.monitoring.sources.replay import ReplaySource
from soundness.monitoring.sources.streams import STREAM_SCHEMES, StreamSource

__all__ = ["SCHEMES", "check_address", "find_source", "parse_address"]


SCHEMES: dict[str, Callable[[Address, SourceSettings], Source]] = {
    "file": ReplaySource.from_file,
    "folder": FolderSource.from_address,
    "mic": MicrophoneSource.from_address,
    "pcm": PcmSource.from_address,
    "replay": ReplaySource.from_address,
    **dict.fromkeys(STREAM_SCHEMES, StreamSource.from_address),
}
"""Source of each scheme."""


def parse_address(text: str) -> Address:
    """Parse an address.

    Raises
    ------
    SettingsError
        If it has no scheme, one that is not known, or nothing after it.
    """
    scheme, colon, place = text.partition(":")
    if not colon or scheme not in SCHEMES:
        near = get_close_matches(scheme, SCHEMES, n=1)
        hint = f" (did you mean {near[0]}:?)" if near else ""
        raise SettingsError(
            f"{without_secret(text)!r} is no address of a source{hint}; expected one of {', '.join(SCHEMES)}: first"
        )
    if not place:
        raise SettingsError(f"{text!r}: nothing after {scheme}:")
    if scheme in STREAM_SCHEMES:
        return Address(scheme=scheme, place=place)  # what follows a question mark is the server's
    path, _, query = place.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    return Address(scheme=scheme, place=path, options=options)


def check_address(text: str) -> None:
    """Make sure that an address can be parsed, and its options are known and in range; nothing is opened.

    Raises
    ------
    SettingsError
        If not.
    """
    find_source(text, SourceSettings(name="", folder=Path(), channel=0, sample_rate=None, clip_seconds=10.0))


def find_source(text: str, settings: SourceSettings) -> Source:
    """Source of an address; nothing is opened yet.

    Raises
    ------
    SettingsError
        As `parse_address`; or if an option is unknown or out of range.
    """
    address = parse_address(text)
    return SCHEMES[address.scheme](address, settings)

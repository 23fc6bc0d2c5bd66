"""Failed logins: after some of them, an address has to wait."""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["FailedLogins"]

_FREE = 5  # failures before the first wait
_LONGEST_WAIT = 300.0  # seconds
_MOST_ADDRESSES = 10_000
_FORGOTTEN_AFTER = 3_600.0


class FailedLogins:
    """Failures by address, of IPv6 by network of a household; each beyond the fifth doubles the wait.

    Parameters
    ----------
    clock
        Seconds that only go on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()  # number, and time of the last one

    def wait_seconds(self, address: str) -> float:
        """Time until an address may try again, in seconds; 0 if it may."""
        with self._lock:
            n_failures, last = self._failures.get(_place(address), (0, 0.0))
            if n_failures < _FREE:
                return 0.0
            wait = min(_LONGEST_WAIT, 2.0 ** (n_failures - _FREE))
            return max(0.0, last + wait - self._clock())

    def failed(self, address: str) -> None:
        """Note a failure."""
        place = _place(address)
        with self._lock:
            n_failures, last = self._failures.pop(place, (0, 0.0))
            if self._clock() - last > _FORGOTTEN_AFTER:
                n_failures = 0
            self._failures[place] = n_failures + 1, self._clock()
            while len(self._failures) > _MOST_ADDRESSES:
                self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        with self._lock:
            self._failures.pop(_place(address), None)


def _place(address: str) -> str:
    """Address of IPv4, or network of 64 bits of IPv6, all of whose addresses one computer may have."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))

"""The keeper of a running monitor: a thread that looks after its store and its detectors' files from time to time."""

import logging
import time
from collections.abc import Callable, Iterable
from threading import Event

from soundness.errors import OutputError
from soundness.monitoring.configuration.monitor_settings import StoreSettings
from soundness.monitoring.live.detector_files import DetectorFiles
from soundness.monitoring.store.database import is_away
from soundness.monitoring.store.store import Store
from soundness.monitoring.store.times import utc_us
from soundness.monitoring.upkeep.detector_versions import delete_old_versions
from soundness.monitoring.upkeep.retention import Retention
from soundness.settings.durations import parse_seconds

__all__ = ["Keeper", "retention_of"]

_LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0  # between two looks at the files of detectors
_RETENTION_SECONDS = 600.0  # between two times that old rows and audio are looked for


class Keeper:
    """Looks after a monitor.

    Parameters
    ----------
    retention
        Limits of the store.
    files
        Files of detectors.
    sensor_ids
        Gives the sensors of the monitor.
    still_alone
        Makes sure that no other monitor uses the database, see `soundness.monitoring.store.database.only_monitor`.
    """

    def __init__(
        self,
        retention: Retention,
        files: DetectorFiles,
        *,
        sensor_ids: Callable[[], Iterable[int]],
        still_alone: Callable[[], None] = lambda: None,
    ) -> None:
        self.retention, self.files = retention, files
        self.sensor_ids, self.still_alone = sensor_ids, still_alone

    def run(self, stop: Event) -> None:
        """Look after the monitor until ``stop`` is set; what fails since the database is away is done the next time.

        Raises
        ------
        OutputError
            If another monitor uses the database, or it cannot be used for another reason than that it is away.
        """
        due = 0.0
        while not stop.wait(_LOOK_SECONDS if due else 0.0):
            try:
                self.still_alone()
                self.files.look()
                if time.monotonic() >= due:
                    sensor_ids = list(self.sensor_ids())
                    self.retention.delete_rings(sensor_ids)
                    for sensor_id in sensor_ids:
                        delete_old_versions(self.retention.store, sensor_id)
                    self.retention.keep(now_us=utc_us(), stop=stop)
                    due = time.monotonic() + _RETENTION_SECONDS
            except OutputError as error:
                if not is_away(error.__cause__):
                    raise
                _LOG.warning("%s; looked after later", error)
                due = due or 1.0


def retention_of(store: Store, settings: StoreSettings) -> Retention:
    """Limits of a store by its settings."""
    return Retention(
        store=store,
        clips_us=round(1e6 * parse_seconds(settings.keep_clips)),
        alarms_us=round(1e6 * parse_seconds(settings.keep_alarms)),
        before_us=round(1e6 * parse_seconds(settings.before_alarm)),
        most_bytes=1e9 * settings.max_gigabytes,
        least_free_bytes=1e9 * settings.min_free_gigabytes,
    )

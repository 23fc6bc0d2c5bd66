"""Watch of one folder: recordings are scored as they appear, by a monitor's engine, and alarms are raised and sent.

The store is the memory: a watch that ends in any way continues where it was. The log tells what is in it.
"""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import PathLike
from soundness.data.finding import Selection
from soundness.detectors.bulk_scoring import load_any
from soundness.detectors.protocol import AnyDetector
from soundness.errors import DataError, SettingsError
from soundness.extras import check_extra
from soundness.monitoring.watching.counts import WatchCounts

if TYPE_CHECKING:  # of an extra
    from soundness.monitoring.configuration.monitor_settings import MonitorSettings
    from soundness.monitoring.watching.log import LogRow

__all__ = ["watch"]

_LOGGER = logging.getLogger(__name__)

_FOR_EVER = "1000y"  # a log has all of its rows


def watch(
    folder: PathLike | Selection,
    *,
    detector: PathLike,
    log: PathLike | None = None,
    webhook: str | None = None,
    once: bool = False,
    poll_seconds: float = 2.0,
    longest_seconds: float = 86_400.0,
    on_alarm: Callable[["LogRow"], None] | None = None,
) -> WatchCounts:
    """Score recordings as they appear in a folder, until interrupted.

    Problems are logged as warnings of this module's logger.

    Parameters
    ----------
    folder
        Folder in which, or below which, recordings appear; or a `Selection` of them.
    detector
        A detector's file or a run's folder, with alarm rules.
    log
        File that ends in ``.csv`` or ``.sqlite``; ``alarms.csv`` in ``folder`` where it is ``None``. A file
        ``.sqlite`` is the store itself; that of ``alarms.csv`` is in ``alarms.store`` beside it.
    webhook
        Address that alarms are posted to.
    once
        Score the recordings that are there, and return.
    poll_seconds
        Time for which a recording must be unchanged before it is scored; also the longest time between two looks, for
        not every file system reports changes.
    longest_seconds
        Longest part of a recording that is scored.
    on_alarm
        Called with the row of a recording with which an alarm begins, in another thread than the caller's.

    Raises
    ------
    OutputError
        If the store or the log cannot be written; the same call continues from there.
    SoundnessError
        If the folder, the detector, the log or the webhook cannot be used.
    """
    check_extra("monitor")
    from soundness.monitoring.live.engine import Engine
    from soundness.monitoring.sinks.delivery import Deliveries
    from soundness.monitoring.sources.folder import FolderSource
    from soundness.monitoring.watching.alarm_posts import SINK, AlarmPosts
    from soundness.monitoring.watching.folder_watch import FolderWatch
    from soundness.monitoring.watching.log import opened_log
    from soundness.monitoring.watching.machines import Machines

    selection = Selection(folder)
    place = selection.folder
    detectors = _checked(place, detector, (poll_seconds, longest_seconds), needs_rule=webhook is not None)
    posts = [] if webhook is None else [AlarmPosts(webhook)]
    with opened_log(place / "alarms.csv" if log is None else Path(log)) as (store, csv_log):
        engine = Engine(_settings(), folder=place, store=store, sinks=[SINK] * len(posts), waits_for_store=False)
        machines = Machines(place, detectors, place=Path(detector), engine=engine)
        source = FolderSource(
            folder=place,
            clip_seconds=longest_seconds,
            hop_seconds=longest_seconds,
            poll_seconds=poll_seconds,
            selection=selection,
            longest_seconds=longest_seconds,
            audio_of=machines.audio_of,
            is_once=once,
        )
        watching = FolderWatch(engine, source, machines, csv_log=csv_log, on_alarm=on_alarm or (lambda _: None))
        try:
            watching.run(Deliveries(posts, store, engine.events))
        except KeyboardInterrupt:
            _LOGGER.info("stopped; the same command goes on from here")
        return watching.counted(has_webhook=bool(posts))


def _checked(
    folder: Path, detector: PathLike, seconds: tuple[float, float], *, needs_rule: bool
) -> Mapping[str, AnyDetector]:
    """Detectors, if they and the folder can be used; ``seconds`` are those to wait, and the longest that are scored."""
    poll_seconds, longest_seconds = seconds
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one that recordings appear in")
    if not (0.0 < poll_seconds < math.inf and 0.0 < longest_seconds < math.inf):
        raise SettingsError(
            f"seconds must be above 0 and finite; got poll {poll_seconds:g}, longest {longest_seconds:g}"
        )
    detectors = load_any(detector)
    for found in detectors.values():
        _check_detector(found, longest_seconds=longest_seconds, needs_rule=needs_rule)
    return detectors


def _settings() -> "MonitorSettings":
    """Settings of a monitor that has no sensor yet, and keeps rows alone."""
    from soundness.monitoring.configuration.monitor_settings import MonitorSettings, StoreSettings

    store = StoreSettings(keep_audio="none", keep_clips=_FOR_EVER, keep_alarms=_FOR_EVER, min_free_gigabytes=0.0)
    return MonitorSettings.model_construct(store=store, sensor=())


def _check_detector(detector: AnyDetector, *, longest_seconds: float, needs_rule: bool) -> None:
    if longest_seconds < detector.shortest_seconds:
        raise SettingsError(
            f"longest: {longest_seconds:g} s of a recording; the detector of {detector.machine_type} needs at least "
            f"{detector.shortest_seconds:g} s"
        )
    if detector.alarm_rule is None:
        if needs_rule:
            detector.required_rule()
        _LOGGER.warning(
            "the detector of %s has no alarm rule: scores are logged, and no alarm is raised", detector.machine_type
        )

"""Hear a machine fail before it does: anomalous sound detection from normal recordings alone.

>>> import soundness
>>> soundness.system_names()
['baseline-mahalanobis', 'baseline-mse', 'conditional', 'conditional-256', 'discriminative', 'fully-connected', \
'log-mel-knn', 'log-mel-quantile', 'log-mel-whitened', 'report-literal', 'soundness', 'unconditional']

The verbs are those of the command line: `inspect`, `make_data`, `train_separator`, `separate`, `train`, `score`,
`evaluate`, `compare` (``evaluate --against``), `benchmark`, `report`, `submission`, `download`, `calibrate`, `alarms`,
`watch`, `explain`, `enroll`, `drift`, `export` and `demo`. What they need is loaded when it is needed, so that
``import soundness`` is quick and works without PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundness.benchmarking.challenge_submission import benchmark, submission
    from soundness.benchmarking.demonstration import demo
    from soundness.data.datasets import open_dataset
    from soundness.data.downloads import download
    from soundness.data.inspection import inspect
    from soundness.detectors.bulk_scoring import score, score_clip
    from soundness.detectors.saving import load
    from soundness.errors import SoundnessError
    from soundness.evaluation.bootstrap import compare
    from soundness.evaluation.results import evaluate
    from soundness.exporting.write import export
    from soundness.monitoring.alarm_proposals import alarms
    from soundness.monitoring.drift_report import drift
    from soundness.monitoring.enrolment import enroll
    from soundness.monitoring.folder_watch import watch
    from soundness.monitoring.recalibration import calibrate
    from soundness.reports.explanation import explain
    from soundness.reports.run_report import report
    from soundness.separation.recordings import separate
    from soundness.settings.loading import load_settings, system_descriptions, system_names
    from soundness.synthetic.make import make_data
    from soundness.verbs import train, train_separator

__all__ = [
    "SoundnessError",
    "alarms",
    "benchmark",
    "calibrate",
    "compare",
    "demo",
    "download",
    "drift",
    "enroll",
    "evaluate",
    "explain",
    "export",
    "inspect",
    "load",
    "load_settings",
    "make_data",
    "open_dataset",
    "report",
    "score",
    "score_clip",
    "separate",
    "submission",
    "system_descriptions",
    "system_names",
    "train",
    "train_separator",
    "watch",
]

_HOMES = {
    "SoundnessError": "errors",
    "alarms": "monitoring.alarm_proposals",
    "benchmark": "benchmarking.challenge_submission",
    "calibrate": "monitoring.recalibration",
    "compare": "evaluation.bootstrap",
    "demo": "benchmarking.demonstration",
    "download": "data.downloads",
    "evaluate": "evaluation.results",
    "inspect": "data.inspection",
    "make_data": "synthetic.make",
    "explain": "reports.explanation",
    "export": "exporting.write",
    "drift": "monitoring.drift_report",
    "enroll": "monitoring.enrolment",
    "load_settings": "settings.loading",
    "open_dataset": "data.datasets",
    "report": "reports.run_report",
    "load": "detectors.saving",
    "score": "detectors.bulk_scoring",
    "separate": "separation.recordings",
    "score_clip": "detectors.bulk_scoring",
    "submission": "benchmarking.challenge_submission",
    "system_descriptions": "settings.loading",
    "system_names": "settings.loading",
    "watch": "monitoring.folder_watch",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'soundness' has no attribute {name!r}")
    value = getattr(import_module(f"soundness.{_HOMES.get(name, 'verbs')}"), name)
    globals()[name] = value
    return value

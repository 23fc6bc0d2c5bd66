"""Anomalous sound detection of machines, from normal recordings alone.

>>> import soundness
>>> soundness.system_names()
['baseline-mahalanobis', 'baseline-mse', 'conditional', 'conditional-256', 'conditional-time', 'discriminative', \
'fully-connected', 'log-mel-knn', 'log-mel-quantile', 'log-mel-whitened', 'report-literal', 'soundness', \
'unconditional']

The functions are those of the command line: `inspect`, `make_data`, `train_separator`, `separate`, `train`, `score`,
`evaluate`, `compare` (``evaluate --against``), `benchmark`, `report`, `submission`, `download`, `calibrate`, `alarms`,
`watch`, `monitor`, `explain`, `enroll`, `drift`, `export` and `demo`. Their modules, listed in ``__init__.pyi``, are
loaded on first use, so that ``import soundness`` is quick and works without PyTorch.
"""

from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Load a public name from its module; one whose packages are not installed is refused with the extra to install."""
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        from soundness.extras import missing_extra

        raise missing_extra(error) from error

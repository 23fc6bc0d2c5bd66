"""Anomalous sound detection of machines, from normal recordings alone.

>>> import soundness
>>> soundness.system_names()
['baseline-mahalanobis', 'baseline-mse', 'conditional', 'conditional-256', 'discriminative', 'fully-connected', \
'log-mel-knn', 'log-mel-quantile', 'log-mel-whitened', 'report-literal', 'soundness', 'unconditional']

The functions are those of the command line: `inspect`, `make_data`, `train_separator`, `separate`, `train`, `score`,
`evaluate`, `compare` (``evaluate --against``), `benchmark`, `report`, `submission`, `download`, `calibrate`, `alarms`,
`watch`, `explain`, `enroll`, `drift`, `export` and `demo`. Their modules, listed in ``__init__.pyi``, are loaded on
first use, so that ``import soundness`` is quick and works without PyTorch.
"""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    try:
        return _load(name)
    except ModuleNotFoundError:
        from soundness.extras import check_extra

        check_extra()  # says how to install what is missing
        raise

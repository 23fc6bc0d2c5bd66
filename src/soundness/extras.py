"""Optional extras: their packages, and the error where one is not installed."""

from importlib.util import find_spec

from soundness.errors import MissingExtraError

__all__ = ["check_extra", "missing_extra"]

_PACKAGES = {
    "train": ("torch", "safetensors", "pytorch_lightning", "matplotlib", "yaml", "jinja2", "sklearn", "PIL"),
    "export": ("onnx", "onnxruntime"),
    "runtime": ("onnxruntime",),
    "media": ("av",),
}


def check_extra(extra: str = "train") -> None:
    """Make sure that an extra is installed.

    Parameters
    ----------
    extra
        ``train``, ``export``, ``runtime`` or ``media``.

    Raises
    ------
    MissingExtraError
        If one of its packages is not; the message says how to install it.
    """
    for package in _PACKAGES[extra]:
        try:
            found = find_spec(package)
        except ValueError:  # a module that was put aside, and has no spec
            found = None
        if found is None:
            raise _error(package, extra)


def missing_extra(error: ModuleNotFoundError) -> Exception:
    """Error that names the extra to install, if a module of one was not found; else the error itself."""
    package = (error.name or "").partition(".")[0]
    return next((_error(package, extra) for extra, packages in _PACKAGES.items() if package in packages), error)


def _error(package: str, extra: str) -> MissingExtraError:
    return MissingExtraError(f"this needs the package {package}: pip install 'soundness[{extra}]'")

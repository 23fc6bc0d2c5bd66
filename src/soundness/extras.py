"""Packages of an optional extra: are they installed?"""

from importlib.util import find_spec

from soundness.errors import MissingExtraError

__all__ = ["check_extra"]

_PACKAGES = {
    "train": ("torch", "safetensors", "pytorch_lightning", "matplotlib", "yaml", "jinja2"),
    "export": ("onnx", "onnxruntime"),
    "runtime": ("onnxruntime",),
}


def check_extra(extra: str = "train") -> None:
    """Make sure that an extra is installed.

    Parameters
    ----------
    extra
        ``train``, ``export`` or ``runtime``.

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
            raise MissingExtraError(f"this needs the package {package}: pip install 'soundness[{extra}]'")

"""Optional packages: what each feature needs, and the error where one is not installed."""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from soundness.errors import MissingExtraError

__all__ = ["check_extra", "install_command", "missing_extra"]

_DETECTORS = ("safetensors",)
_PAGES = ("jinja2", "PIL", *_DETECTORS)
_PACKAGES = {
    "detectors": _DETECTORS,
    "pages": _PAGES,
    "train": ("torch", "pytorch_lightning", "matplotlib", "yaml", "sklearn", *_PAGES),
    "runtime": ("onnxruntime",),
    "export": ("torch", "onnx", "onnxruntime"),
    "media": ("av",),
    "microphones": ("sounddevice",),
    "monitor": (
        "sqlalchemy",
        "alembic",
        "fastapi",
        "uvicorn",
        "aiomqtt",
        "apprise",
        "prometheus_client",
        "argon2",
        "sounddevice",
        "av",
        *_PAGES,
    ),
    "formats": ("h5py", "nptdms", "pyarrow", "pymatreader", "pyuff"),
}
"""Import names by feature; those of ``detectors``, ``pages`` and ``runtime`` are the extra ``runtime`` together."""

_DISTRIBUTIONS = {
    "PIL": "pillow",
    "pytorch_lightning": "pytorch-lightning",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "argon2": "argon2-cffi",
    "prometheus_client": "prometheus-client",
}


def check_extra(extra: str = "train") -> None:
    """Make sure that the packages of a feature are installed.

    Parameters
    ----------
    extra
        ``detectors`` (their files), ``pages``, ``train``, ``export``, ``runtime``, ``media``, ``microphones``,
        ``monitor`` or ``formats``.

    Raises
    ------
    MissingExtraError
        If one is not; the message says how to install all that are not.
    """
    missing = [package for package in _PACKAGES[extra] if not _is_installed(package)]
    if missing:
        raise _error(missing)


def install_command(*extras: str) -> str:
    """Command that installs the packages of some features, on every system as it stands."""
    return _command([package for extra in extras for package in _PACKAGES[extra]])


def missing_extra(error: ModuleNotFoundError) -> Exception:
    """Error that says what to install, if a module of an optional package was not found; else the error itself."""
    package = (error.name or "").partition(".")[0]
    feature = next((packages for packages in _PACKAGES.values() if package in packages), None)
    if feature is None:
        return error
    return _error([one for one in feature if one == package or not _is_installed(one)])


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # a module that was put aside, and has no spec
        return False


def _error(packages: Sequence[str]) -> MissingExtraError:
    names = ", ".join(_distribution(package) for package in packages)
    return MissingExtraError(f"this needs {names}, not installed here: {_command(packages)}")


def _command(packages: Sequence[str]) -> str:
    known = _requirements()
    wanted = (f'"{known.get(name, name)}"' for name in map(_distribution, packages))
    return f"python -m pip install {' '.join(wanted)}"


def _distribution(package: str) -> str:
    return _DISTRIBUTIONS.get(package, package)


def _requirements() -> dict[str, str]:
    """Requirements of all extras, such as ``torch>=2.6``, by name of the distribution."""
    try:
        lines = [line.partition(";")[0].strip() for line in requires("soundness") or ()]
    except PackageNotFoundError:  # run from its source
        return {}
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower(): line for line in lines}

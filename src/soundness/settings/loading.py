"""Load and check settings from TOML files and ``key=value``; systems by name."""

import re
import reprlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from soundness.errors import SettingsError
from soundness.regular_files import read_regular_text
from soundness.settings.separation import SeparatorSettings
from soundness.settings.system import SystemSettings

__all__ = [
    "DEFAULT_SYSTEM",
    "Model",
    "load_separator_settings",
    "load_settings",
    "setting_problems",
    "system_descriptions",
    "system_names",
    "validated",
]

DEFAULT_SYSTEM = "soundness"
"""System that is used where none is named; see docs/default_system.md."""

_OLD_SETTINGS = {
    "comparison": "called 'distance' now",
    "balance": "called 'normalization' now",
    "normalization=before-min": "a value of 'normalization_order' now",
    "normalization=after-min": "a value of 'normalization_order' now",
    "normalization=none": "it was removed: 'min' is nearest to it",
    **dict.fromkeys(("whitening_scope", "n_components", "fusion"), "it was removed: leave it out"),
}

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200  # as long as a wrong value may be in a message

Model = TypeVar("Model", bound=BaseModel)


def system_names() -> list[str]:
    """Names of the systems that come with the package, in alphabetical order."""
    files = resources.files("soundness.settings").joinpath("systems").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def system_descriptions() -> dict[str, str]:
    """Description of each system of `system_names`, in one line."""
    return {name: load_settings(name).description for name in system_names()}


def load_settings(
    system: Path | str | SystemSettings = DEFAULT_SYSTEM, *, overrides: Iterable[str] = ()
) -> SystemSettings:
    """Load the settings of a system, with some of them changed.

    Parameters
    ----------
    system
        A name of `system_names`, the path of a TOML file of the same form, whose stem becomes the system's name, or
        settings themselves.
    overrides
        ``key=value`` each, the key with dots (``scorer.n_neighbors=2``), the value as in TOML; a value that is no
        TOML is taken as text. ``autoencoder=x`` and ``scorer=x`` set their ``name``.

    Raises
    ------
    SettingsError
        If the system or a key is unknown, or a value is of the wrong type or out of range; the message names it.
    """
    origin, tree = _read_system(system)
    settings = validated(SystemSettings, _without_network(tree), origin=origin)
    overrides = list(overrides)
    for override in overrides:
        key, value = _parse_override(override)
        if key in (["autoencoder"], ["scorer"]) and isinstance(value, str):
            key = [*key, "name"]
        tree = _changed(tree, settings, key, value)
    origin = " ".join((origin, *(f"--set {override}" for override in overrides)))
    return validated(SystemSettings, _without_network(tree), origin=origin)


def load_separator_settings(*, overrides: Iterable[str] = ()) -> SeparatorSettings:
    """Make settings of a separator, changed by overrides as in `load_settings`.

    Raises
    ------
    SettingsError
        If a key is unknown, or a value is of the wrong type or out of range; the message names it.
    """
    overrides = list(overrides)
    tree = {".".join(key): value for key, value in map(_parse_override, overrides)}
    return validated(SeparatorSettings, tree, origin=" ".join(f"--set {override}" for override in overrides))


def _read_system(system: Path | str | SystemSettings) -> tuple[str, dict[str, Any]]:
    if isinstance(system, SystemSettings):
        return system.name, system.model_dump()
    path, system = Path(system), str(system)
    if path.suffix == ".toml":
        try:
            return system, {"name": path.stem, **tomllib.loads(read_regular_text(path))}
        except RecursionError:
            raise SettingsError(f"{system}: not a readable settings file: nested too deep") from None
        except (OSError, ValueError) as error:
            raise SettingsError(f"{system}: not a readable settings file: {error}") from None
    names = system_names()
    if system not in names:
        raise SettingsError(f"no system {system!r}{_hint(system, names)}; there are {', '.join(names)}")
    text = resources.files("soundness.settings").joinpath("systems", f"{system}.toml").read_text(encoding="utf-8")
    return system, {"name": system, **tomllib.loads(text)}


def _parse_override(override: str) -> tuple[list[str], Any]:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set {override}: expected key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except RecursionError:
        raise SettingsError(f"--set {key}: nested too deep") from None
    except ValueError:  # no TOML, or a number of thousands of digits
        value = text.strip()
    return key.strip().split("."), value


def _changed(tree: Mapping[str, Any], settings: BaseModel | None, key: list[str], value: Any) -> dict[str, Any]:
    """Copy of the tree with one value changed; the key is checked against the current settings."""
    name, rest = key[0], key[1:]
    if settings is None or name not in type(settings).model_fields:
        known = [] if settings is None else list(type(settings).model_fields)
        where = f"; known here: {', '.join(known)}" if known else ": this system has no network"
        raise SettingsError(f"unknown setting {name!r}{_hint(name, known)}{where}")
    if not rest:
        return {**tree, name: value}
    below = getattr(settings, name)
    if below is not None and not isinstance(below, BaseModel):
        raise SettingsError(f"unknown setting {'.'.join(key)!r}: {name} has no settings of its own")
    inner = tree.get(name, {})
    if below is not None and not isinstance(inner, Mapping):
        raise SettingsError(f"{'.'.join(key)}: {name} was set to {inner!r}, which has no settings of its own")
    return {**tree, name: _changed(inner, below, rest, value)}


def validated(model: type[Model], values: Mapping[str, Any], *, origin: str = "settings") -> Model:
    """Make settings of a class from plain values.

    Raises
    ------
    SettingsError
        If a key is unknown, or a value of the wrong type or out of range; the message names the first.
    """
    for problem in setting_problems(model, values):
        raise SettingsError(f"{origin}: {problem}")
    return model.model_validate(values)


def setting_problems(
    model: type[BaseModel],
    values: Mapping[str, Any],
    *,
    shown_key: Callable[[tuple[int | str, ...]], str] = lambda location: ".".join(map(str, location)),
) -> list[str]:
    """Problems of plain values as settings of a class, a line each; empty if there are none.

    Parameters
    ----------
    model
        Class of the settings. A value in the place of a class with ``hides_values``, which says what is expected, or
        below it is not shown.
    values
        Values by name.
    shown_key
        Gives the name of a setting by its place.
    """
    try:
        model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
    else:
        return []
    deeper = {one["loc"][:-n] for one in found for n in range(1, len(one["loc"]))}
    is_effect = [one["type"] == "too_short" and one["loc"] in deeper for one in found]  # of members that are wrong
    return [_problem(model, one, shown_key) for one, skips in zip(found, is_effect, strict=True) if not skips]


def _problem(model: type[BaseModel], one: Any, shown_key: Callable[[tuple[int | str, ...]], str]) -> str:
    location, came = one["loc"], one["input"]
    key = shown_key(location) if location else ""
    if one["type"] == "extra_forbidden":
        hint = _hint(str(location[-1]), list(_models_at(model, location)[-1].model_fields))
        table, colon, _ = key.rpartition(": ")
        return f"{table}{colon}unknown setting {key[len(table + colon) :]!r}{hint}"
    message = _without_user(str(one["msg"]).removeprefix("Value error, "))
    if not key:
        return message
    if one["type"] == "missing":
        return f"{key}: a value is required"
    hidden = [kind.hides_values for kind in _models_at(model, (*location, "")) if getattr(kind, "hides_values", "")]
    if hidden:
        expected = hidden[-1] if one["type"] == "model_type" else message
        return f"{key}: {expected}; the value that came is not shown, for it may be secret"
    if one["type"] == "value_error" and isinstance(came, Mapping):  # of a table as a whole
        return f"{key}: {message}"
    hint, shown = _hint(f"{key.rpartition('.')[2]}={came}", []), _without_user(_SHORT.repr(came))
    is_told = isinstance(came, str) and shown in message
    return f"{key}: {message}{hint}" if is_told else f"{key}: {message}; {shown} came{hint}"


def _without_user(text: str) -> str:
    """Text with an ellipsis in the place of user and password of an address."""
    return re.sub(r"//[^/@]*@", "//...@", text)


def _without_network(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Replace ``autoencoder = false``, a system without a network, by ``None``, which TOML lacks."""
    return {
        key: None if key in ("autoencoder", "training") and value is False else value for key, value in tree.items()
    }


def _models_at(model: Any, location: tuple[int | str, ...]) -> list[Any]:
    """Classes of the settings on the way to a place, as far as they are known."""
    models = [model]
    for part in location[:-1]:
        if isinstance(part, str):  # not the index of a member
            field = models[-1].model_fields.get(part)
            annotation = None if field is None else field.annotation
            below = [kind for kind in (annotation, *get_args(annotation)) if hasattr(kind, "model_fields")]
            if not below:
                break
            models.append(below[0])
    return models


def _hint(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    found = _OLD_SETTINGS.get(name, f"did you mean {near[0]!r}?" if near else "")
    return f" ({found})" if found else ""

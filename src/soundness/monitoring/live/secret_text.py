"""Secrets of a configuration: in the environment or a file, and shown nowhere."""

import os
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from soundness.errors import SettingsError
from soundness.regular_files import read_regular_text
from soundness.settings.fields import StrictSettings

__all__ = ["SecretText"]

_Place = Annotated[str, Field(min_length=1)]


class SecretText(StrictSettings):
    """Text that stands in an environment variable or a file, never in the configuration itself.

    Parameters
    ----------
    env
        Name of the environment variable.
    file
        File with the text in its first line; a relative path is one beside the configuration.
    """

    hides_values: ClassVar[bool] = True  # one may stand where this is expected

    env: _Place | None = None
    file: _Place | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected env or file, and not both")
        return self

    def read(self, folder: Path, *, name: str) -> str:
        """The text.

        Raises
        ------
        SettingsError
            If the variable is not set, or the file cannot be read or is empty; the message never shows the text.
        """
        if self.env is not None:
            text = os.environ.get(self.env, "")
            where = f"environment variable {self.env}"
        else:
            where = str(folder / (self.file or ""))
            try:
                text = read_regular_text(Path(where))
            except ValueError:
                raise SettingsError(f"{name}: {where}: cannot be read: not a text file") from None
            except OSError as error:
                raise SettingsError(f"{name}: {where}: cannot be read: {error.strerror or error}") from None
        first = text.partition("\n")[0].strip()
        if not first:
            is_set = self.env is None or self.env in os.environ
            raise SettingsError(f"{name}: {where} is {'empty' if is_set else 'not set'}; expected a secret there")
        return first

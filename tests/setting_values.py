"""Settings with their dotted keys."""

from pydantic import BaseModel


def leaves(model, prefix=""):
    """Dotted key and value of every setting."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

"""Sealed files that were changed and sealed again, as another version might have written them."""

import hashlib
import json

from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from soundness.files.sealed import FORMATS


def split(content):
    first_line, _, payload = content.partition(b"\n")
    header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
    return first_line, payload, json.loads(header["__metadata__"]["soundness"])


def sealed(payload, *, kind="detector", number=None):
    """A payload with a first line that fits it."""
    number = FORMATS[kind] if number is None else number
    return f"soundness {kind} {number} {len(payload)} {hashlib.sha256(payload).hexdigest()}\n".encode() + payload


def rewritten(path, change, *, kind="detector"):
    """The file with its description changed and sealed again, as another version might have written it."""
    _, payload, about = split(path.read_bytes())
    change(about)
    payload = save_arrays(load_arrays(payload), metadata={"soundness": json.dumps(about)})
    path.write_bytes(sealed(payload, kind=kind))
    return path

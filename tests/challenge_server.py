"""A server with the archives of a year of the challenge."""

import io
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import soundfile

import soundness
from records_server import impatience
from soundness.data.downloads import RECORDS

DEV, TRAIN, TEST = (number for numbers in RECORDS[2025].values() for number in numbers)


TRAINING = tuple(f"train/section_00_source_train_normal_{index:04d}_v_1.wav" for index in range(3))


LABELLED = tuple(f"test/section_00_target_test_{label}_0000_v_1.wav" for label in ("normal", "anomaly"))


BLIND = ("test/section_00_0000.wav", "test/section_00_0001.wav")


CLEAN = ("supplemental/section_00_machine_0000_.wav",)


TABLE = "attributes_00.csv"


def recording(seed):
    """The bytes of a WAV file, which are not the same for any other seed."""
    stream = io.BytesIO()
    soundfile.write(stream, np.random.default_rng(seed).normal(scale=0.05, size=1600), 16_000, format="WAV")
    return stream.getvalue()


def zipped(*names, seed=0, under="fan/"):
    """An archive of recordings, and of tables."""
    stream = io.BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for index, name in enumerate(names):
            is_table = name.endswith(".csv")
            content = b"file_name,d1p,d1v\n" if is_table else recording(100 * seed + index)
            archive.writestr(f"{under}{name}", content)
    return stream.getvalue()


def fetch(server, out, **options):
    options = {"retry": impatience(), "base_url": server.url, **options}
    return soundness.download(2025, out, **options)


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

"""Tables of numbers are read as recordings: channels, sample rate and values, or refused by name."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import pyuff
import scipy.io
from nptdms import ChannelObject, TdmsWriter

from soundness.audio.reading import read_blocks, read_info
from soundness.data.finding import find_recordings, list_audio
from soundness.errors import AudioError
from soundness.extras import install_command
from soundness.settings.system import AudioSettings

RATE = 12_000
LEFT, RIGHT = np.random.default_rng(0).standard_normal((2, 3_000)).astype(np.float32)
TIMES = np.arange(len(LEFT)) / RATE


def csv(path: Path) -> None:
    rows = np.c_[TIMES, LEFT, RIGHT]
    np.savetxt(path, rows, delimiter=",", header="time [s],left [g],right [g]", comments="", fmt="%.9g")


def mat(path: Path) -> None:
    scipy.io.savemat(path, {"X097_DE_time": LEFT[:, None], "X097_FE_time": RIGHT[:, None], "fs": RATE, "note": "pump"})


def matlab_73(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in (("left", LEFT[None]), ("right", RIGHT[None]), ("fs", np.array([[float(RATE)]]))):
            file[name] = values
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    content = bytearray(path.read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM"
    path.write_bytes(content)


def structure(path: Path) -> None:
    scipy.io.savemat(path, {"bearing": {"sr": float(RATE), "gs": np.stack([LEFT, RIGHT], axis=1), "load": 25.0}})


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("run 1")
        group.attrs["sampling_rate"] = float(RATE)
        group["left"] = (LEFT * 1000).astype(np.float64)
        group["left"].attrs["scale_factor"] = 1e-3
        group["right"] = RIGHT


def parquet(path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"Time": TIMES, "left": LEFT, "right": RIGHT}), path)


def tdms(path: Path) -> None:
    step = {"wf_increment": 1 / RATE, "unit_string": "g"}
    with TdmsWriter(str(path)) as writer:
        writer.write_segment([ChannelObject("run", name, x, step) for name, x in (("left", LEFT), ("right", RIGHT))])


def universal(path: Path) -> None:
    file = pyuff.UFF(str(path))
    for node, values in ((1, LEFT), (2, RIGHT)):
        own = {"type": 58, "func_type": 1, "rsp_node": node, "rsp_dir": 3, "ref_node": 0, "ref_dir": 0, "id1": "run"}
        own |= {"rsp_ent_name": "housing", "ref_ent_name": "none", "abscissa_spacing": 1, "abscissa_spec_data_type": 17}
        own |= {"ordinate_spec_data_type": 12, "orddenom_spec_data_type": 0, "data": values.astype(float), "x": TIMES}
        file.write_sets(own, "add")


def compressed(path: Path) -> None:
    np.savez(path, left=LEFT, right=RIGHT, sample_rate=RATE)


WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "csv": ("a.csv", csv),
    "mat": ("a.mat", mat),
    "mat of 7.3": ("a.mat", matlab_73),
    "mat with a structure": ("a.mat", structure),
    "npz": ("a.npz", compressed),
    "hdf5": ("a.h5", hdf5),
    "parquet": ("a.parquet", parquet),
    "tdms": ("a.tdms", tdms),
    "universal": ("a.uff", universal),
}


def samples(path: Path, **audio: object) -> np.ndarray:
    return np.concatenate(list(read_blocks(path, block_samples=700, audio=AudioSettings(**audio))))


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_channels_and_sample_rate_are_those_of_the_file(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    path = tmp_path / name
    write(path)
    np.testing.assert_allclose(samples(path), np.stack([LEFT, RIGHT], axis=1), rtol=1e-5, atol=1e-5)
    info = read_info(path)
    assert (info.sample_rate, info.n_channels, info.n_samples) == (RATE, 2, len(LEFT))
    assert read_info(path, audio=AudioSettings(rate=48_000.0)).sample_rate == 48_000
    assert list_audio(tmp_path) == find_recordings(tmp_path).recordings == [path]


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    path = tmp_path / name
    write(path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.9):
        path.write_bytes(content[: int(len(content) * share)] + rng.bytes(50))
        with pytest.raises(AudioError, match=rf"^[^\n]*{path.name}: [^\n]*$"):
            samples(path)


@pytest.mark.parametrize("pattern", ["*_DE_time", "X097_de_time", "0"])
def test_columns_are_chosen_by_name_pattern_or_number(tmp_path: Path, pattern: str) -> None:
    mat(tmp_path / "a.mat")
    np.testing.assert_allclose(samples(tmp_path / "a.mat", columns=(pattern,))[:, 0], LEFT, rtol=1e-6)
    both = samples(tmp_path / "a.mat", columns=("*_FE_time", pattern))
    np.testing.assert_allclose(both, np.stack([RIGHT, LEFT], axis=1), rtol=1e-6)


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    mat(tmp_path / "a.mat")
    with pytest.raises(AudioError, match=r"a\.mat: no column 'z'; there are X097_DE_time, X097_FE_time"):
        samples(tmp_path / "a.mat", columns=("z",))


def test_a_table_that_states_no_rate_asks_for_it(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", LEFT)
    with pytest.raises(AudioError, match=r"a\.npy: states no sample rate; --rate HZ says it"):
        samples(tmp_path / "a.npy")
    assert np.array_equal(samples(tmp_path / "a.npy", rate=12_000.0)[:, 0], LEFT)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(AudioError, match=r"damaged, or no \.npy file.*allow_pickle"):
        samples(tmp_path / "a.npy", rate=1.0)
    (tmp_path / "b.npy").write_bytes(pickle.dumps([1.0] * 100))
    with pytest.raises(AudioError, match=r"damaged, or no \.npy file"):
        samples(tmp_path / "b.npy", rate=1.0)


TEXTS = {
    "decimal commas": "Zeit [ms];g\n" + "".join(f"{i},0;{i / 8:.3f}\n".replace(".", ",") for i in range(40)),
    "tabs without names": "".join(f"{i / 1000:.3f}\t{i / 8:.3f}\n" for i in range(40)),
    "moments": "time,g\n" + "".join(f"2024-03-01T00:00:00.{i:03d},{i / 8}\n" for i in range(40)),
    "a rate above": "Sample rate: 1.0 kHz\nPump 3\ng\n" + "".join(f"{i / 8}\n" for i in range(40)),
    "a byte-order mark": "\ufefft,g\r\n" + "".join(f"{i / 1000},{i / 8}\r\n" for i in range(40)),
    "blanks": "# time g\n" + "".join(f"  {i / 1000:.4f}   {i / 8:.4f}\n" for i in range(40)),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_of_any_country_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    assert read_info(tmp_path / "a.csv").sample_rate == 1000
    np.testing.assert_allclose(samples(tmp_path / "a.csv")[:, 0], np.arange(40) / 8, atol=1e-3)
    assert list_audio(tmp_path) == [tmp_path / "a.csv"]


NO_RECORDINGS = {
    "attributes": "file_name,d1p,d1v\na.wav,car,A1\nb.wav,car,B1\n",
    "scores": "path,machine,time,score,p_value,threshold,verdict,reason\na.wav,pump,,1.0,0.2,1.3,normal,\n",
    "few numbers": "a,b\n1,2\n",
    "words": "nothing of interest\n" * 50,
    "empty": "",
}


@pytest.mark.parametrize("text", NO_RECORDINGS.values(), ids=NO_RECORDINGS)
def test_other_text_is_no_recording(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    found = find_recordings(tmp_path)
    assert found.recordings == found.tables == found.unread == []


def test_uneven_times_are_refused(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 100))
    np.savetxt(tmp_path / "a.csv", np.c_[times, times], delimiter=",", header="time,x", comments="")
    with pytest.raises(AudioError, match="the steps of its column 'time' are uneven"):
        read_info(tmp_path / "a.csv")


def test_tables_beside_sound_files_are_named_and_read_where_a_pattern_asks_for_them(tmp_path: Path) -> None:
    import soundfile

    from soundness.data.finding import Selection, unread_problems

    soundfile.write(tmp_path / "a.wav", LEFT / 10, RATE)
    mat(tmp_path / "b.mat")
    found = find_recordings(tmp_path)
    assert (found.recordings, found.tables) == ([tmp_path / "a.wav"], [tmp_path / "b.mat"])
    (problem,) = unread_problems(found, tmp_path)
    assert "1 table(s) of numbers beside sound files are not read; --pattern '*.mat' takes them" in problem.message
    assert find_recordings(tmp_path, Selection(tmp_path, pattern="*.mat")).recordings == [tmp_path / "b.mat"]


def test_data_sets_that_lie_in_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(8000))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (1000,), dtype="f8", external=[(str(tmp_path / "secret.bin"), 0, 8000)])
    with pytest.raises(AudioError, match="the data set x lies in other files, which are not read"):
        samples(tmp_path / "a.h5", rate=1000.0)


def test_without_the_extra_its_files_are_counted_and_others_read(tmp_path: Path) -> None:
    hdf5(tmp_path / "a.h5")
    mat(tmp_path / "a.mat")
    code = (
        "import sys; [sys.modules.__setitem__(name, None) for name in ('h5py', 'nptdms', 'pyarrow', 'pyuff')]\n"
        "from pathlib import Path; from soundness.audio.reading import read_info\n"
        "from soundness.audio.formats import UNREAD_SUFFIXES, unread_recordings\n"
        "print(read_info(Path('a.mat')).sample_rate, unread_recordings(map(Path, ['a.h5', 'b.m4a', 'c.tdms'])))\n"
        "try: read_info(Path('a.h5'))\nexcept Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    first, second = done.stdout.splitlines()
    found = "2 files look like recordings that cannot be read here (1 .h5, 1 .tdms); to read them: "
    assert first == f"12000 {found}{install_command('formats')}"
    assert second.startswith("this needs h5py, ")

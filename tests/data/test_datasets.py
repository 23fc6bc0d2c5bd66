"""Folders as data sets: every layout of the challenge, anybody's own, and what can be wrong with them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from folders import counts, touch
from permissions import unprivileged
from soundness.audio.reading import read_info
from soundness.data.clips import Clip
from soundness.data.datasets import (
    FEWEST_TRAINING_CLIPS,
    Problem,
    Selection,
    fingerprint,
    list_clips,
    open_dataset,
)
from soundness.errors import AudioError, DataError


def test_machines_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "valve/train/a.wav", "ToyCar/train/a.wav", "fan/test/a.wav")
    assert list(open_dataset(tmp_path).machines) == ["ToyCar", "fan", "valve"]


def test_clips_come_in_the_order_of_split_and_name(tmp_path: Path) -> None:
    touch(tmp_path, "test/a.wav", "train/c.flac", "train/b.WAV", "supplemental/machine.wav")
    names = [clip.path.name for clip in open_dataset(tmp_path).machines[tmp_path.name].clips]
    assert names == ["b.WAV", "c.flac", "a.wav", "machine.wav"]


def test_a_path_may_be_text_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "fan", "train/a.wav")
    monkeypatch.chdir(tmp_path / "fan" / "train")
    assert list(open_dataset("..").machines) == ["fan"]
    monkeypatch.chdir(tmp_path / "fan")
    assert list(open_dataset(".").machines) == ["fan"]


def test_own_folders_may_lie_side_by_side(tmp_path: Path) -> None:
    touch(tmp_path, "a/normal/0.wav", "a/abnormal/0.wav", "b/0.wav", "c/train/0.wav")
    machines = open_dataset(tmp_path).machines
    assert {name: counts(machine) for name, machine in machines.items()} == {
        "a": (1, 1, 0),
        "b": (1, 0, 0),
        "c": (1, 0, 0),
    }


def test_dev_and_eval_data_of_one_machine_are_one_machine(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "dev_data/raw/fan/train/normal_id_00_00000000.wav",
        "dev_data/raw/fan/test/normal_id_00_00000001.wav",
        "eval_data/raw/fan/train/normal_id_01_00000000.wav",
        "eval_data/raw/fan/test/id_01_00000000.wav",
    )
    dataset = open_dataset(tmp_path)
    assert {name: counts(machine) for name, machine in dataset.machines.items()} == {"fan": (2, 2, 0)}
    assert [clip.section for clip in dataset.machines["fan"].train] == ["id_00", "id_01"]
    assert dataset.problems == ()


def test_machines_of_one_name_in_different_places_are_kept_apart(tmp_path: Path) -> None:
    touch(tmp_path, "fan/id_00/normal/0.wav", "pump/id_00/normal/0.wav", "pump/id_02/normal/0.wav")
    machines = open_dataset(tmp_path).machines
    assert list(machines) == ["fan_id_00", "id_02", "pump_id_00"]
    assert all(clip.machine_type == name for name, machine in machines.items() for clip in machine.clips)


def test_hidden_files_and_what_macos_leaves_are_ignored(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "fan/train/a.wav",
        "fan/train/._a.wav",
        "fan/train/.b.wav",
        "__MACOSX/fan/train/a.wav",
        ".git/x.wav",
    )
    machines = open_dataset(tmp_path).machines
    assert [clip.path.name for clip in machines["fan"].clips] == ["a.wav"]
    assert len(machines) == 1


ROWS = {
    "a folder": "fan/train/section_00_source_train_normal_0000_noAttribute.wav",
    "a name": "section_00_source_train_normal_0000_noAttribute.wav",
    "a stem": "section_00_source_train_normal_0000_noAttribute",
    "a folder of Windows": r"fan\train\section_00_source_train_normal_0000_noAttribute.wav",
}


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_attributes_come_from_the_table_where_the_name_hides_them(tmp_path: Path, row: str) -> None:
    root = touch(tmp_path / "fan", "train/section_00_source_train_normal_0000_noAttribute.wav")
    (root / "attributes_00.csv").write_text(f"file_name,d1p,d1v,d2p,d2v\n{row},car,A1,spd,28V\n")
    dataset = open_dataset(root)
    assert dataset.machines["fan"].clips[0].attributes == "car_A1_spd_28V"
    assert dataset.problems == ()


def test_a_stem_with_a_dot_is_joined_whole(tmp_path: Path) -> None:
    root = touch(tmp_path / "slider", "train/run_0.05.wav", "train/run_0.30.wav")
    (root / "attributes_00.csv").write_text("file_name,d1p,d1v\nrun_0.05,ac,low\nrun_0.30,ac,high\n")
    assert [clip.attributes for clip in open_dataset(root).machines["slider"].clips] == ["ac_low", "ac_high"]


def test_the_attributes_of_a_name_have_precedence_over_the_table(tmp_path: Path) -> None:
    name = "section_00_source_train_normal_0000_n_B"
    root = touch(tmp_path / "fan", f"train/{name}.wav")
    (root / "attributes_00.csv").write_text(f"file_name,d1p,d1v\n{name}.wav,n,C\n")
    assert open_dataset(root).machines["fan"].clips[0].attributes == "n_B"


def test_a_table_without_file_names_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    root = touch(tmp_path / "fan", "train/a.wav")
    table = root / "attributes_00.csv"
    table.write_text("name,d1p\na,b\n")
    dataset = open_dataset(root)
    message = "no column file_name; expected file_name,d1p,d1v,..."
    assert dataset.problems == (Problem(table, message, "warning"),)
    assert len(dataset.machines["fan"].clips) == 1


def test_rows_without_a_recording_are_counted_in_one_problem(tmp_path: Path) -> None:
    root = touch(tmp_path / "fan", "train/a.wav")
    (root / "attributes_00.csv").write_text("file_name\na.wav\nc.wav\nfan/train/b.wav\n")
    (problem,) = open_dataset(root).problems
    assert problem.path == root / "attributes_00.csv"
    assert problem.message == f"2 rows name no recording in {root}, e.g. b"


def test_a_supplemental_clip_of_unknown_kind_is_a_problem(tmp_path: Path) -> None:
    root = touch(tmp_path / "fan", "train/a.wav", "supplemental/x.wav", "supplemental/y.wav", "supplemental/noise.wav")
    dataset = open_dataset(root)
    assert [clip.supplemental for clip in dataset.machines["fan"].supplemental] == ["noise", None, None]
    message = "2 clips with neither 'machine' nor 'noise' in their name, e.g. x.wav"
    assert dataset.problems == (Problem(root / "supplemental", message, "warning"),)


def test_two_clips_of_one_name_are_a_problem_that_names_both(tmp_path: Path) -> None:
    root = touch(tmp_path / "fan", "train/a.wav", "train/a.flac", "test/a.wav")
    (problem,) = open_dataset(root).problems
    assert str(problem) == f"{root / 'train/a.wav'}: same name as {root / 'train/a.flac'}, also of fan"
    assert problem.severity == "error"


def test_an_anomalous_training_clip_is_a_problem(tmp_path: Path) -> None:
    root = touch(tmp_path / "fan", "train/normal_id_00_00000000.wav", "train/anomaly_id_00_00000001.wav")
    dataset = open_dataset(root)
    assert [clip.label for clip in dataset.machines["fan"].train] == ["anomaly", "normal"]
    (problem,) = dataset.problems
    assert problem.path == root / "train"
    assert "1 training clips are labelled anomalous, e.g. anomaly_id_00_00000001.wav" in problem.message


def test_recordings_beside_folders_of_machines_are_a_problem(tmp_path: Path) -> None:
    dataset = open_dataset(touch(tmp_path / "set", "stray.wav", "fan/train/a.wav", "valve/train/a.wav"))
    (problem,) = dataset.problems
    assert str(problem) == f"{tmp_path / 'set'}: 1 recordings in it are not read, e.g. stray.wav"
    assert list(dataset.machines) == ["fan", "valve"]


@pytest.mark.parametrize(
    ("names", "unread"),
    [
        (
            ["normal/a.wav", "abnormal/a.wav", "loose.wav", "loose.flac"],
            "2 recordings in it are not read, e.g. loose.flac",
        ),
        (["train/a.wav", "abnormal/b.wav"], "1 recordings in it (abnormal) are not read, e.g. abnormal/b.wav"),
        (["train/a.wav", "old/test/b.wav"], "1 recordings in it (old) are not read, e.g. old/test/b.wav"),
    ],
)
def test_recordings_that_no_layout_reads_are_a_problem(tmp_path: Path, names: list[str], unread: str) -> None:
    touch(tmp_path, "valve/train/a.wav", *(f"pump/{name}" for name in names), "pump/plots/a.png")
    assert open_dataset(tmp_path).problems == (Problem(tmp_path / "pump", unread, "warning"),)


def test_supplemental_recordings_of_no_machine_are_a_problem_and_no_training_data(tmp_path: Path) -> None:
    dataset = open_dataset(touch(tmp_path, "fan/train/a.wav", "supplemental/noise.wav"))
    assert list(dataset.machines) == ["fan"]
    message = "1 recordings in it (supplemental) are not read, e.g. supplemental/noise.wav"
    assert dataset.problems == (Problem(tmp_path, message, "warning"),)
    with pytest.raises(DataError, match="no audio found"):
        open_dataset(touch(tmp_path / "valve", "supplemental/noise.wav"))


def test_a_link_to_what_is_read_is_not_unread(tmp_path: Path) -> None:
    root = touch(tmp_path / "fan", "train/a.wav")
    (root / "latest").symlink_to(root / "train", target_is_directory=True)
    assert open_dataset(root).problems == ()


def test_a_closed_folder_beside_recordings_is_a_problem_and_no_failure(open_folder: Path) -> None:
    touch(open_folder, "a.wav", "lost+found/b.wav")
    (open_folder / "lost+found").chmod(0)
    with unprivileged(open_folder / "lost+found"):
        (problem,) = open_dataset(open_folder).problems
    assert (problem.path, problem.severity) == (open_folder / "lost+found", "warning")
    assert problem.message == "no permission to list this folder; what is in it is not read"


@pytest.mark.parametrize("closed", ["fan", "fan/train", "fan/train/day1"])
def test_a_closed_folder_is_named_and_the_others_are_read(open_folder: Path, closed: str) -> None:
    touch(open_folder, "fan/train/day1/a.wav", "valve/train/a.wav")
    (open_folder / closed).chmod(0)
    with unprivileged(open_folder / closed):
        dataset = open_dataset(open_folder)
    assert list(dataset.machines) == ["valve"]
    assert [problem.path for problem in dataset.problems] == [open_folder / closed]


def test_machines_whose_joined_names_agree_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a_b/c/train/0.wav", "a/b_c/train/0.wav", "x/c/train/0.wav", "y/b_c/train/0.wav")
    with pytest.raises(DataError, match=r"a_b/c: its machine has the same name, a_b_c, as that of .*a/b_c"):
        open_dataset(tmp_path)


def test_the_fewest_training_clips_are_three() -> None:
    assert FEWEST_TRAINING_CLIPS == 3


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder; expected a folder of recordings"):
        open_dataset(tmp_path / "nowhere")


def test_a_file_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    with pytest.raises(DataError, match=r"a\.wav: a file; expected a folder of recordings"):
        open_dataset(tmp_path / "a.wav")


@pytest.mark.parametrize("names", [(), ("fan/train/notes.txt",), ("fan/supplemental/noise.txt",)])
def test_a_folder_without_audio_is_refused_with_an_example(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=r"no audio found; expected recordings .* e\.g\. .*fan/train/a\.wav"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("closed", [".", "fan", "fan/train"])
@pytest.mark.parametrize("read", [open_dataset, lambda path: list_clips([path])])
def test_where_nothing_can_be_listed_the_closed_folder_is_named(
    open_folder: Path, closed: str, read: Callable[[Path], object]
) -> None:
    touch(open_folder, "fan/train/a.wav")
    (open_folder / closed).chmod(0)
    message = f"{open_folder / closed}: no permission to list this folder"
    with unprivileged(open_folder / closed), pytest.raises(DataError, match=message):
        read(open_folder)


def test_a_folder_in_a_closed_folder_is_refused(open_folder: Path) -> None:
    touch(open_folder, "closed/fan/train/a.wav")
    (open_folder / "closed").chmod(0)
    with unprivileged(open_folder / "closed"), pytest.raises(DataError, match="no permission to look into"):
        open_dataset(open_folder / "closed" / "fan")


def test_an_unreadable_table_is_a_problem_and_no_failure(open_folder: Path) -> None:
    touch(open_folder, "fan/train/a.wav", "fan/attributes_00.csv")
    (open_folder / "fan/attributes_00.csv").chmod(0)
    with unprivileged(open_folder / "fan/attributes_00.csv"):
        (problem,) = open_dataset(open_folder).problems
    assert "attributes cannot be read" in problem.message


def test_a_file_to_score_is_one_clip_of_no_machine(tmp_path: Path) -> None:
    touch(tmp_path, "section_02_source_test_normal_0000_n_B.wav")
    path = tmp_path / "section_02_source_test_normal_0000_n_B.wav"
    assert list_clips([path]) == (Clip(path, "", "test", "section_02", "source", "normal", "n_B"),)


def test_a_missing_recording_among_others_is_a_clip_that_cannot_be_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    clips = list_clips([tmp_path / "a.wav", tmp_path / "missing.WAV"])
    assert clips == tuple(Clip(tmp_path / name, "", "test") for name in ("a.wav", "missing.WAV"))
    with pytest.raises(AudioError, match=r"missing\.WAV: no such file"):
        read_info(clips[1].path)


def test_a_recording_in_a_closed_folder_is_a_clip_that_cannot_be_read(open_folder: Path) -> None:
    touch(open_folder, "a.wav", "closed/b.wav")
    (open_folder / "closed").chmod(0)
    with unprivileged(open_folder / "closed"):
        clips = list_clips([open_folder / "a.wav", open_folder / "closed" / "b.wav"])
        assert [clip.path.name for clip in clips] == ["a.wav", "b.wav"]
        with pytest.raises(AudioError, match=r"b\.wav: no permission to read it"):
            read_info(clips[1].path)
        with pytest.raises(DataError, match="no permission to look into"):
            list_clips([open_folder / "closed" / "folder"])


def test_a_data_set_to_score_gives_its_test_clips(tmp_path: Path) -> None:
    touch(tmp_path, "fan/train/a.wav", "fan/test/b.wav", "fan/supplemental/noise.wav", "new/normal/c.wav")
    clips = list_clips([tmp_path])
    assert [(clip.machine_type, clip.path.name) for clip in clips] == [("fan", "b.wav"), ("new", "c.wav")]
    assert [clip.split for clip in clips] == ["test", "train"]


@pytest.mark.parametrize("name", ["normal", "abnormal", "train", "inbox"])
def test_a_plain_folder_to_score_gives_all_of_it(tmp_path: Path, name: str) -> None:
    touch(tmp_path / name, "0.wav", "1.wav", "notes.txt")
    assert list_clips([str(tmp_path / name)]) == tuple(
        Clip(tmp_path / name / file, "", "test") for file in ("0.wav", "1.wav")
    )


def test_files_and_folders_to_score_keep_their_order_and_come_once(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.wav", "x/b.wav", "c.wav")
    again = tmp_path / "x" / ".." / "c.wav"
    clips = list_clips([tmp_path / "c.wav", tmp_path / "x" / "b.wav", tmp_path / "x", again])
    assert [clip.path.name for clip in clips] == ["c.wav", "b.wav", "a.wav"]


def test_two_clips_of_one_name_are_two_clips_with_keys_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "x/day1/a.wav", "x/day2/a.wav", "y/a.wav")
    clips = list_clips([tmp_path / "x", tmp_path / "y", tmp_path / "y" / "a.wav"])
    assert [clip.key for clip in clips] == ["day1/a.wav", "day2/a.wav", "a.wav"]


def test_a_folder_of_recordings_gives_all_that_lie_below_it(tmp_path: Path) -> None:
    touch(tmp_path, "r0.wav", "2024-03-01/a.wav", "pump1/a.wav", "pump1/2024-03-01/b.wav")
    clips = list_clips(tmp_path)
    assert [(clip.machine_type, clip.key) for clip in clips] == [
        ("", "r0.wav"),
        ("", "2024-03-01/a.wav"),
        ("pump1", "pump1/a.wav"),
        ("pump1", "pump1/2024-03-01/b.wav"),
    ]
    assert {clip.split for clip in clips} == {"test"}


def test_folders_of_several_machines_are_recordings_of_these_machines(tmp_path: Path) -> None:
    clips = list_clips(touch(tmp_path, "fan/a.wav", "pump/2024-03-01/a.wav"))
    assert [(clip.machine_type, clip.split) for clip in clips] == [("fan", "test"), ("pump", "test")]


def test_one_path_is_a_list_of_one_and_the_rest_of_the_computer_is_not_searched(tmp_path: Path) -> None:
    touch(tmp_path / "today", "a.wav")
    for paths in (str(tmp_path / "today"), tmp_path / "today", str(tmp_path / "today" / "a.wav")):
        assert [clip.path.name for clip in list_clips(paths)] == ["a.wav"]


def test_a_selection_takes_some_of_a_data_set(tmp_path: Path) -> None:
    touch(tmp_path, "fan/train/a_L.wav", "fan/train/a_R.wav", "fan/test/b_L.wav", "pump/test/c.wav")
    dataset = open_dataset(Selection(tmp_path, pattern="*_l.wav"))
    assert {name: counts(machine) for name, machine in dataset.machines.items()} == {"fan": (1, 1, 0)}
    assert dataset.problems == ()
    assert [clip.path.name for clip in list_clips(Selection(tmp_path, pattern="c*"))] == ["c.wav"]
    with pytest.raises(DataError, match=r"no recordings like x\*"):
        open_dataset(Selection(tmp_path, pattern="x*"))


def test_what_cannot_be_read_is_a_problem_and_named_where_there_is_nothing_else(tmp_path: Path) -> None:
    touch(tmp_path / "fan", "normal/a.wav", "normal/b.dss")
    (problem,) = open_dataset(tmp_path / "fan").problems
    assert "1 file looks like a recording that cannot be read here (1 .dss)" in problem.message
    with pytest.raises(DataError, match=r"no audio found.*1 file looks like a recording .*1 \.vox"):
        open_dataset(touch(tmp_path / "phone", "a.vox"))


def test_clips_of_one_name_in_two_machines_are_scored_apart(tmp_path: Path) -> None:
    touch(tmp_path, "fan/test/a.wav", "valve/test/a.wav")
    assert [clip.machine_type for clip in list_clips([tmp_path])] == ["fan", "valve"]


def test_nothing_to_score_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        list_clips([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="no audio found"):
        list_clips([tmp_path])


REAL = {
    "toycar": {"ToyCar": (210, 200, 0)},
    "toycar/ToyCar": {"ToyCar": (210, 200, 0)},
    "toycar_clean": {"toycar_clean": (50, 0, 0)},
    "mimii_fan": {"mimii_fan": (20, 20, 0)},
    "mimii_fan_8ch": {"mimii_fan_8ch": (1, 1, 0)},
    "dcase2020_slider": {"slider": (75, 6, 0)},
    "dcase2023_sample": dict.fromkeys(
        ["ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve"], (2, 2, 0)
    ),
    "background": {"background": (60, 0, 0)},
    "compressor": {"off": (120, 0, 0), "rest": (120, 0, 0), "run": (160, 0, 0)},
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_sets_hold_what_their_description_says(name: str, real_data: Path) -> None:
    dataset = open_dataset(real_data / name)
    assert {machine: counts(found) for machine, found in dataset.machines.items()} == REAL[name]
    assert dataset.problems == ()


def test_the_real_toy_cars_have_two_domains_that_are_their_two_cars(real_data: Path) -> None:
    machine = open_dataset(real_data / "toycar").machines["ToyCar"]
    domains = [clip.domain for clip in machine.train]
    assert (domains.count("source"), domains.count("target")) == (200, 10)
    assert {(clip.domain, clip.attributes) for clip in machine.clips} == {
        ("source", "car_1"),
        ("target", "car_2"),
    }
    cells = [(clip.domain, clip.label) for clip in machine.test]
    assert {cell: cells.count(cell) for cell in set(cells)} == {
        (domain, label): 50 for domain in ("source", "target") for label in ("normal", "anomaly")
    }


def clips_of(folder):
    return [clip for machine in open_dataset(folder).machines.values() for clip in machine.train]


@pytest.fixture
def copied(fan, tmp_path):
    return shutil.copytree(fan, tmp_path / "data" / "fan")


def test_a_fingerprint_does_not_depend_on_where_clips_lie_or_on_their_order(fan, copied):
    clips = clips_of(fan)
    assert fingerprint(clips) == fingerprint(clips[::-1]) == fingerprint(clips_of(copied))


def test_a_fingerprint_tells_sets_of_clips_apart(fan, copied):
    before = fingerprint(clips_of(fan))
    assert fingerprint(clips_of(fan)[1:]) != before
    path = sorted((copied / "train").iterdir())[0]
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0\0")
    assert fingerprint(clips_of(copied)) != before
    path.write_bytes(whole)
    path.rename(path.with_name(path.name.replace("vel_0", "vel_1")))
    assert fingerprint(clips_of(copied)) != before


def test_a_fingerprint_tells_machines_apart(copied):
    before = fingerprint(clips_of(copied))
    copied.rename(copied.with_name("pump"))
    assert fingerprint(clips_of(copied.with_name("pump"))) != before


def test_a_fingerprint_of_no_clips_is_one(fan):
    assert fingerprint([]) != fingerprint(clips_of(fan)[:1])

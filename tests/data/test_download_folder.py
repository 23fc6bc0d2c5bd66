"""Folders of downloads: receipts, and files that came from elsewhere."""

import io
import logging
from zipfile import ZipFile

import pytest

import soundness
from challenge_server import (
    BLIND,
    DEV,
    LABELLED,
    TEST,
    TRAINING,
    fetch,
    files_below,
    recording,
    zipped,
)
from soundness.data.datasets import open_dataset
from soundness.data.downloads import RECORDS
from soundness.errors import DownloadError, OutputError


def test_tables_of_training_and_test_do_not_replace_each_other(server, tmp_path):
    fetch(server, tmp_path, machines=["ToyPet"])
    names = files_below(tmp_path / "eval_data" / "raw" / "ToyPet")
    assert [name for name in names if name.endswith(".csv")] == ["attributes_00.csv", "attributes_00_test.csv"]


def test_what_is_complete_is_not_fetched_again(server, tmp_path):
    fetch(server, tmp_path, machines=["fan"])
    server.asked.clear()
    report = fetch(server, tmp_path, part="dev")
    assert (report.present, report.fetched) == (("dev_fan.zip",), ("dev_valve.zip",))
    assert server.ranges("dev_fan.zip") == []
    assert report.n_files == 7 + 5


@pytest.mark.parametrize("damage", ["deleted", "shortened"])
def test_a_machine_that_lost_a_file_is_made_whole_and_what_was_added_to_it_stays(server, tmp_path, damage):
    fetch(server, tmp_path, machines=["fan"])
    folder = tmp_path / "dev_data" / "raw" / "fan"
    (folder / "train" / "notes.txt").write_text("mine")
    if damage == "deleted":
        (folder / TRAINING[1]).unlink()
    else:
        (folder / TRAINING[1]).write_bytes(b"short")
    assert fetch(server, tmp_path, machines=["fan"]).fetched == ("dev_fan.zip",)
    assert (folder / TRAINING[1]).read_bytes() == recording(2)
    assert (folder / "train" / "notes.txt").read_text() == "mine"


def test_a_new_revision_replaces_all_of_an_old_one(server, tmp_path):
    fetch(server, tmp_path, machines=["fan"])
    server.add(DEV, "dev_fan_r2.zip", zipped(*TRAINING[:2], *LABELLED, seed=7, under=""))
    fetch(server, tmp_path, machines=["fan"])
    folder = tmp_path / "dev_data" / "raw" / "fan"
    assert files_below(folder) == sorted((*TRAINING[:2], *LABELLED))
    assert (folder / TRAINING[0]).read_bytes() == recording(700)


def test_an_interruption_while_unpacking_leaves_no_half_machine(server, tmp_path, caplog):
    def interrupt(what, done, _total):
        if what.startswith("unpacking") and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path, machines=["fan"], progress=interrupt)
    assert list((tmp_path / "dev_data" / "raw").iterdir()) == []
    server.asked.clear()
    with caplog.at_level(logging.INFO, logger="soundness"):
        fetch(server, tmp_path, machines=["fan"])
    assert server.ranges("dev_fan.zip") == []
    assert caplog.messages == [f"{tmp_path / 'archives' / 'dev_fan.zip'}: there already"]
    assert len(open_dataset(tmp_path).machines["fan"].train) == 3


def test_what_a_killed_unpacking_left_is_no_machine_and_is_cleared(server, tmp_path):
    left = tmp_path / "dev_data" / "raw" / ".fan.unpacking" / "train" / "old.wav"
    left.parent.mkdir(parents=True)
    left.write_bytes(recording(0))
    fetch(server, tmp_path, machines=["fan"])
    assert list(open_dataset(tmp_path).machines) == ["fan"]
    assert not list(tmp_path.rglob("old.wav"))


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"fan/": TRAINING, "valve/": TRAINING}, "found fan and valve"),
        ({"fan/": ("a.wav",)}, "found fan/a.wav"),
        ({}, "found nothing"),
    ],
)
def test_an_archive_of_something_else_is_refused(server, tmp_path, members, found):
    stream = io.BytesIO()
    with ZipFile(stream, "w") as archive:
        for under, names in members.items():
            for name in names:
                archive.writestr(f"{under}{name}", recording(0))
    server.add(DEV, "dev_fan.zip", stream.getvalue())
    with pytest.raises(DownloadError, match=rf"dev_fan\.zip: expected the folder of one machine .* {found}$"):
        fetch(server, tmp_path, machines=["fan"])


def test_recordings_from_elsewhere_are_neither_replaced_nor_joined(server, tmp_path):
    mine = tmp_path / "dev_data" / "raw" / "fan" / "train" / "mine.wav"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(recording(0))
    with pytest.raises(OutputError, match="raw/fan: was not put there by soundness download"):
        fetch(server, tmp_path, part="dev")
    assert server.ranges("dev_fan.zip") == []
    assert files_below(tmp_path) == ["dev_data/raw/fan/train/mine.wav"]


def test_a_file_from_elsewhere_in_a_machine_of_ours_is_not_replaced(server, tmp_path):
    test = server.records[TEST].pop("eval_data_ToyPet_test.zip")
    fetch(server, tmp_path, part="eval")
    server.add(TEST, "eval_data_ToyPet_test.zip", test)
    mine = tmp_path / "eval_data" / "raw" / "ToyPet" / BLIND[0]
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"section_00_0000\.wav: not replaced"):
        fetch(server, tmp_path, part="eval")
    assert mine.read_bytes() == b"mine"


def test_two_years_do_not_share_a_folder(server, tmp_path):
    fetch(server, tmp_path, machines=["fan"])
    (number,) = RECORDS[2024]["dev"]
    server.add(number, "dev_fan.zip", zipped(*TRAINING))
    with pytest.raises(OutputError, match="holds the data of 2025; those of 2024 need a folder of their own"):
        soundness.download(2024, tmp_path, part="dev", base_url=server.url)


@pytest.mark.parametrize("text", ["", "{}", '{"year": 2025, "archive": "", "md5": "", "files": {"../../x": 1}}'])
def test_a_receipt_that_was_altered_is_refused(server, tmp_path, text):
    fetch(server, tmp_path, machines=["fan"])
    (tmp_path / "archives" / "dev_fan.json").write_text(text)
    with pytest.raises(OutputError, match=r"dev_fan\.json: not a receipt of soundness download; delete it"):
        fetch(server, tmp_path, machines=["fan"])


def test_a_file_in_place_of_the_folder_is_refused(server, tmp_path):
    (tmp_path / "data").write_text("x")
    with pytest.raises(OutputError, match="data: is a file; a folder for the download is expected"):
        fetch(server, tmp_path / "data")

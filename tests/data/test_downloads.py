"""From records on a server to data sets on disk."""

import io
import logging
import signal
import subprocess
import sys
import time
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import soundfile

import soundness
from records_server import Fault, impatience, serving
from soundness.data.datasets import open_dataset
from soundness.data.downloads import RECORDS
from soundness.errors import DownloadError, OutputError

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


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.add(DEV, "dev_fan.zip", zipped(TABLE, *TRAINING, *LABELLED, *CLEAN))
        server.add(DEV, "dev_valve.zip", zipped(*TRAINING, *LABELLED, seed=1, under="valve/"))
        server.add(DEV, "readme.pdf", b"%PDF")
        server.add(TRAIN, "eval_data_ToyPet_train.zip", zipped(TABLE, *TRAINING, *CLEAN, seed=2, under="ToyPet/"))
        server.add(TEST, "eval_data_ToyPet_test.zip", zipped(TABLE, *BLIND, seed=3, under="ToyPet/"))
        yield server


def fetch(server, out, **options):
    options = {"retry": impatience(), "base_url": server.url, **options}
    return soundness.download(2025, out, **options)


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_year_becomes_a_data_set_that_opens_without_a_complaint(server, tmp_path):
    report = fetch(server, tmp_path / "data")
    assert report.fetched == (
        "dev_fan.zip",
        "dev_valve.zip",
        "eval_data_ToyPet_test.zip",
        "eval_data_ToyPet_train.zip",
    )
    assert report.present == ()
    assert report.machines == {"dev": ("fan", "valve"), "eval": ("ToyPet",)}
    assert report.n_files == 7 + 5 + 5 + 3
    dataset = open_dataset(tmp_path / "data")
    assert dataset.problems == ()
    counts = {
        name: (len(machine.train), len(machine.test), len(machine.supplemental))
        for name, machine in dataset.machines.items()
    }
    assert counts == {"ToyPet": (3, 2, 1), "fan": (3, 2, 1), "valve": (3, 2, 0)}
    assert dataset.machines["fan"].root == tmp_path / "data" / "dev_data" / "raw" / "fan"
    assert dataset.machines["ToyPet"].root == tmp_path / "data" / "eval_data" / "raw" / "ToyPet"
    assert (dataset.machines["fan"].root / TRAINING[0]).read_bytes() == recording(1)


def test_tables_of_training_and_test_do_not_replace_each_other(server, tmp_path):
    fetch(server, tmp_path, machines=["ToyPet"])
    names = files_below(tmp_path / "eval_data" / "raw" / "ToyPet")
    assert [name for name in names if name.endswith(".csv")] == ["attributes_00.csv", "attributes_00_test.csv"]


def test_archives_are_kept_if_asked_for(server, tmp_path):
    fetch(server, tmp_path / "a", machines=["fan"])
    fetch(server, tmp_path / "b", machines=["fan"], keep_archives=True)
    assert files_below(tmp_path / "a" / "archives") == ["dev_fan.json"]
    assert files_below(tmp_path / "b" / "archives") == ["dev_fan.json", "dev_fan.zip"]


def test_what_is_complete_is_not_fetched_again(server, tmp_path):
    fetch(server, tmp_path, machines=["fan"])
    server.asked.clear()
    report = fetch(server, tmp_path, part="dev")
    assert (report.present, report.fetched) == (("dev_fan.zip",), ("dev_valve.zip",))
    assert server.ranges("dev_fan.zip") == []
    assert report.n_files == 7 + 5


def test_only_the_records_of_a_part_are_asked_for(server, tmp_path):
    fetch(server, tmp_path, part="eval", machines=["ToyPet"])
    assert {path.split("/")[3] for path, _ in server.asked} == {str(TRAIN), str(TEST)}


def test_the_test_clips_of_a_machine_join_its_training_clips(server, tmp_path):
    test = server.records[TEST].pop("eval_data_ToyPet_test.zip")
    fetch(server, tmp_path, part="eval")
    server.add(TEST, "eval_data_ToyPet_test.zip", test)
    report = fetch(server, tmp_path, part="eval")
    assert report.fetched == ("eval_data_ToyPet_test.zip",)
    (machine,) = open_dataset(tmp_path).machines.values()
    assert (len(machine.train), len(machine.test)) == (3, 2)


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


def test_the_newest_revision_of_an_archive_is_taken(server, tmp_path):
    server.add(DEV, "dev_fan_r2.zip", zipped(*TRAINING[:2], *LABELLED, seed=7, under="fan_r2/"))
    server.add(DEV, "dev_fan_r10.zip", zipped(*TRAINING[:1], *LABELLED, seed=8))
    server.add(TRAIN, "eval_data_ToyPet_train_r2.zip", zipped(*TRAINING, seed=9, under="dev_data/raw/ToyPet/"))
    report = fetch(server, tmp_path, machines=["fan", "ToyPet"])
    assert report.fetched == ("dev_fan_r10.zip", "eval_data_ToyPet_test.zip", "eval_data_ToyPet_train_r2.zip")
    assert (tmp_path / "dev_data" / "raw" / "fan" / TRAINING[0]).read_bytes() == recording(800)


def test_a_new_revision_replaces_all_of_an_old_one(server, tmp_path):
    fetch(server, tmp_path, machines=["fan"])
    server.add(DEV, "dev_fan_r2.zip", zipped(*TRAINING[:2], *LABELLED, seed=7, under=""))
    fetch(server, tmp_path, machines=["fan"])
    folder = tmp_path / "dev_data" / "raw" / "fan"
    assert files_below(folder) == sorted((*TRAINING[:2], *LABELLED))
    assert (folder / TRAINING[0]).read_bytes() == recording(700)


def test_a_mirror_that_copies_the_descriptions_serves_the_files(server, tmp_path):
    description = server.describe(DEV)
    for file in description["files"]:
        file["links"]["self"] = f"https://zenodo.org/api/records/{DEV}/files/{file['key']}/content"
    server.descriptions[DEV] = description
    fetch(server, tmp_path, machines=["fan"], base_url=f"{server.url}/")
    assert server.ranges("dev_fan.zip") == [None]


def test_retries_are_logged_and_progress_is_reported(server, tmp_path, caplog):
    server.faults[str(DEV)].append(Fault(status=503))
    server.faults["dev_fan.zip"].append(Fault(cut_after=1000))
    steps = []
    with caplog.at_level(logging.INFO, logger="soundness"):
        fetch(server, tmp_path, part="dev", machines=["fan"], progress=lambda *s: steps.append(s))
    said = caplog.messages
    assert len(said) == 2
    assert said[0].startswith(f"{server.url}/records/{DEV}: HTTP 503")
    size = len(server.records[DEV]["dev_fan.zip"])
    assert f"{size - 1000:,} bytes are missing" in said[1]
    assert ("dev_fan.zip", size, size) in steps
    assert steps[-1] == ("unpacking dev_fan.zip", 7, 7)


def test_a_download_that_was_killed_goes_on_where_it_was(server, tmp_path):
    server.add(DEV, "dev_fan.zip", zipped(*TRAINING, *LABELLED))
    server.faults["dev_fan.zip"].extend([Fault(cut_after=5000), Fault(status=503, headers={"Retry-After": "60"})])
    program = f"import soundness; soundness.download(2025, {str(tmp_path)!r}, part='dev', base_url={server.url!r})"
    process = subprocess.Popen([sys.executable, "-c", program])
    partial = tmp_path / "archives" / "dev_fan.zip.partial"
    deadline = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size == 5000) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "dev_data").exists()
    fetch(server, tmp_path, machines=["fan"])
    assert server.ranges("dev_fan.zip")[-1] == "bytes=5000-"
    assert len(open_dataset(tmp_path).machines["fan"].train) == 3


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
    ("asked", "message"),
    [
        (
            {"machines": ["fann"]},
            r"no machine 'fann' in the data of 2025 \(did you mean 'fan'\?\); there are dev: fan, ",
        ),
        ({"machines": ["toypet"]}, r"did you mean 'ToyPet'\?\); there are dev: fan, valve; eval: ToyPet$"),
        (
            {"machines": ["ToyPet"], "part": "dev"},
            r"no machine 'ToyPet' in the data of 2025; there are dev: fan, valve$",
        ),
        ({"part": "test"}, "no part 'test' of a year's data; there are dev, eval and all"),
        ({"base_url": "zenodo.org"}, "zenodo.org: expected an address such as https://zenodo.org/api"),
        ({"base_url": "file:///data"}, "file:///data: expected an address"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(server, tmp_path, asked, message):
    with pytest.raises(DownloadError, match=message):
        fetch(server, tmp_path / "data", **asked)
    assert not (tmp_path / "data").exists()


def test_a_year_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(DownloadError, match="no data of the year 2019; there are 2023, 2024, 2025, 2026"):
        soundness.download(2019, tmp_path)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(status=404), f"/records/{DEV}: HTTP 404 Not Found$"),
        (Fault(body=b"<html>"), f"/records/{DEV}: not the description of a record"),
        (Fault(body=b'{"files": [{"key": "a", "size": 3}]}'), r"not the description of a record \(files.0.checksum"),
        (Fault(body=b'{"files": []}'), "the records of 2025 hold no archive of a machine"),
        (
            Fault(body=b'{"files": [{"key": "a", "size": 3, "checksum": "md5:x", "links": {"self": ""}}]}'),
            r"files.0.checksum: String should match",
        ),
    ],
)
def test_a_record_that_is_none_is_refused(server, tmp_path, fault, message):
    server.faults[str(DEV)].append(fault)
    with pytest.raises(DownloadError, match=message) as caught:
        fetch(server, tmp_path, part="dev")
    assert "\n" not in str(caught.value)


def test_a_name_of_an_archive_leads_nowhere_else(server, tmp_path):
    server.add(DEV, "dev_../../evil.zip", zipped(*TRAINING))
    server.add(DEV, "../dev_evil.zip", zipped(*TRAINING))
    assert fetch(server, tmp_path / "data", part="dev").machines == {"dev": ("fan", "valve")}


def test_an_archive_that_means_ill_leaves_nothing_of_its_machine(server, tmp_path):
    server.add(DEV, "dev_fan.zip", zipped(*TRAINING, "../../../../evil.wav"))
    with pytest.raises(DownloadError, match=r"dev_fan\.zip: its member 'fan/\.\./.*evil\.wav' would lie outside"):
        fetch(server, tmp_path / "data", machines=["fan"])
    assert files_below(tmp_path) == ["data/archives/dev_fan.zip"]


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


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    description = server.describe(DEV)
    description["files"][0]["checksum"] = f"md5:{'0' * 32}"
    server.descriptions[DEV] = description
    with pytest.raises(DownloadError, match=r"dev_fan\.zip/content: its MD5 is"):
        fetch(server, tmp_path, machines=["fan"])
    assert files_below(tmp_path) == []


def test_too_small_a_disk_is_told_before_anything_is_fetched(server, tmp_path):
    description = server.describe(DEV)
    description["files"][0]["size"] = 10**18
    server.descriptions[DEV] = description
    with pytest.raises(OutputError, match=r"1 archive\(s\) and what they hold need at least 2,000,000,000\.0 GB"):
        fetch(server, tmp_path, machines=["fan"])
    assert server.ranges("dev_fan.zip") == []


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
    with pytest.raises(OutputError, match="data: cannot be written: Not a directory"):
        fetch(server, tmp_path / "data")


@pytest.mark.parametrize("year", sorted(RECORDS))
def test_every_year_has_records_of_both_parts(year):
    assert {part: len(numbers) for part, numbers in RECORDS[year].items()} == {"dev": 1, "eval": 2}

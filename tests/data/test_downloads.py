"""From records on a server to data sets on disk."""

import logging
import signal
import subprocess
import sys
import time

import pytest

import soundness
from challenge_server import DEV, LABELLED, TEST, TRAIN, TRAINING, fetch, files_below, recording, zipped
from records_server import Fault
from soundness.data.datasets import open_dataset
from soundness.data.downloads import RECORDS
from soundness.errors import DownloadError, OutputError


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


def test_archives_are_kept_if_asked_for(server, tmp_path):
    fetch(server, tmp_path / "a", machines=["fan"])
    fetch(server, tmp_path / "b", machines=["fan"], keep_archives=True)
    assert files_below(tmp_path / "a" / "archives") == ["dev_fan.json"]
    assert files_below(tmp_path / "b" / "archives") == ["dev_fan.json", "dev_fan.zip"]


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


def test_the_newest_revision_of_an_archive_is_taken(server, tmp_path):
    server.add(DEV, "dev_fan_r2.zip", zipped(*TRAINING[:2], *LABELLED, seed=7, under="fan_r2/"))
    server.add(DEV, "dev_fan_r10.zip", zipped(*TRAINING[:1], *LABELLED, seed=8))
    server.add(TRAIN, "eval_data_ToyPet_train_r2.zip", zipped(*TRAINING, seed=9, under="dev_data/raw/ToyPet/"))
    report = fetch(server, tmp_path, machines=["fan", "ToyPet"])
    assert report.fetched == ("dev_fan_r10.zip", "eval_data_ToyPet_test.zip", "eval_data_ToyPet_train_r2.zip")
    assert (tmp_path / "dev_data" / "raw" / "fan" / TRAINING[0]).read_bytes() == recording(800)


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


@pytest.mark.parametrize("year", sorted(RECORDS))
def test_every_year_has_records_of_both_parts(year):
    assert {part: len(numbers) for part, numbers in RECORDS[year].items()} == {"dev": 1, "eval": 2}

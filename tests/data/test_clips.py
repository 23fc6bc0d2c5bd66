"""Names of the challenge, of every year, and the tables that come with them."""

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundness.audio.formats import AUDIO_SUFFIXES
from soundness.data.clips import (
    Clip,
    NameParts,
    clip_key,
    describe_clip,
    parse_name,
    read_attributes,
    supplemental_kind,
)
from soundness.errors import DataError


def named(section: str, *others: str | None) -> NameParts:
    """The parts of a name: section, split, domain, label, attributes, kind of a supplemental clip."""
    fields = ("split", "domain", "label", "attributes", "supplemental")
    return NameParts(section=section, **dict(zip(fields, others, strict=True)))  # type: ignore[arg-type]  # as read


NAMES = {
    # 2020
    "normal_id_00_00000003": named("id_00", None, None, "normal", "", None),
    "anomaly_id_06_00000123": named("id_06", None, None, "anomaly", "", None),
    "id_05_00000000": named("id_05", None, None, None, "", None),
    # 2021
    "section_02_source_train_normal_0012": named("section_02", "train", "source", "normal", "", None),
    "section_05_target_train_normal_0001_strength_1_ambient": named(
        "section_05", "train", "target", "normal", "strength_1_ambient", None
    ),
    "section_00_source_test_anomaly_0099": named("section_00", "test", "source", "anomaly", "", None),
    "section_03_target_test_0007": named("section_03", "test", "target", None, "", None),
    # 2022 and later
    "section_01_target_test_normal_0049_car_A1_spd_28V_mic_1": named(
        "section_01", "test", "target", "normal", "car_A1_spd_28V_mic_1", None
    ),
    "section_03_0042": named("section_03", None, None, None, "", None),
    "section_03_test_0042": named("section_03", "test", None, None, "", None),
    "section_00_source_train_normal_0853_vel_500_ac_0.30": named(
        "section_00", "train", "source", "normal", "vel_500_ac_0.30", None
    ),
    "section_00_target_test_normal_0021_m-n_Y": named("section_00", "test", "target", "normal", "m-n_Y", None),
    "section_00_source_train_normal_0000_noAttribute": named("section_00", "train", "source", "normal", "", None),
    "section_00_source_train_normal_0000_spd1000_BckgA": named(
        "section_00", "train", "source", "normal", "spd1000_BckgA", None
    ),
    "section_00_source_train_normal_0000_mic_pos_A": named(
        "section_00", "train", "source", "normal", "mic_pos_A", None
    ),
    "section_00_source_train_normal_0000_pro_y": named("section_00", "train", "source", "normal", "pro_y", None),
    # 2024 RoboticArm lacks the split
    "section_00_target_anomaly_0004_bckg_C": named("section_00", None, "target", "anomaly", "bckg_C", None),
    # 2026: the attribute may be empty
    "section_00_source_train_normal_0000_": named("section_00", "train", "source", "normal", "", None),
    "section_00_0000_": named("section_00", None, None, None, "", None),
    # supplemental
    "section_00_machine_0001_": named("section_00", "supplemental", None, None, "", "machine"),
    "section_00_machine_source_0000_noAttribute": named("section_00", "supplemental", "source", None, "", "machine"),
    "section_00_noise_supplemental_normal_0000": named("section_00", "supplemental", None, "normal", "", "noise"),
    "section_00_supplemental_machine_0004_car_A1": named("section_00", "supplemental", None, None, "car_A1", "machine"),
    "section_00_supplemental_normal_0000": named("section_00", "supplemental", None, "normal", "", None),
    # a condition may be called noise; that makes no supplemental clip of it
    "section_00_source_train_normal_0000_noise_A": named("section_00", "train", "source", "normal", "noise_A", None),
}


@pytest.mark.parametrize(("stem", "parts"), NAMES.items(), ids=list(NAMES))
def test_a_name_of_the_challenge_says_what_its_year_means_by_it(stem: str, parts: NameParts) -> None:
    assert parse_name(stem) == parts


@pytest.mark.parametrize(
    "stem",
    [
        "",
        "00000000",
        "section_00",
        "section_00_source_train_normal",
        "normal_id_00",
        "my_section_00_source_train_normal_0000",
        "section_0x_0000",
        "broken_id_00_00000000",
        "section_00_source_target_train_normal_0000",
        "section_00_source_test_normal_anomaly_0000",
        "clip_0000",
        "section_00_0000\n",
        "normal_id_00_00000000\n",
    ],
)
def test_any_other_name_says_nothing(stem: str) -> None:
    assert parse_name(stem) is None


@given(
    section=st.integers(0, 99),
    domain=st.sampled_from(["source", "target"]),
    split=st.sampled_from(["train", "test"]),
    label=st.sampled_from(["normal", "anomaly"]),
    number=st.integers(0, 9999),
    attributes=st.from_regex(r"[A-Za-z0-9.-]+(_[A-Za-z0-9.-]+)*", fullmatch=True),
)
def test_every_part_of_a_full_name_is_read_back(
    section: int, domain: str, split: str, label: str, number: int, attributes: str
) -> None:
    parts = parse_name(f"section_{section:02d}_{domain}_{split}_{label}_{number:04d}_{attributes}")
    assert parts is not None
    assert (parts.section, parts.domain, parts.split, parts.label) == (
        f"section_{section:02d}",
        domain,
        split,
        label,
    )
    assert parts.attributes == ("" if attributes == "noAttribute" else attributes)


@given(st.text(max_size=60))
def test_no_name_makes_the_parser_fail(stem: str) -> None:
    parts = parse_name(stem)
    assert parts is None or parts.section in stem


@pytest.mark.parametrize(
    ("stem", "kind"),
    [
        ("noise", "noise"),
        ("Noise_07", "noise"),
        ("machine01", "machine"),
        ("section_00_machine_0000_noise_A", "machine"),
        ("section_00_supplemental_0000_noise", "noise"),
        ("section_00_0000", None),
        ("machine_and_noise", None),
        ("noisy_machinery", None),
    ],
)
def test_the_kind_of_a_supplemental_clip_is_told_by_a_word_in_its_name(stem: str, kind: str | None) -> None:
    assert supplemental_kind(stem) == kind


def test_a_name_has_precedence_over_a_place() -> None:
    path = Path("fan/normal/section_01_target_test_anomaly_0000_n_B.wav")
    clip = describe_clip(path, machine_type="fan", split="train", domain="source", label="normal")
    assert clip == Clip(path, "fan", "train", "section_01", "target", "anomaly", "n_B", None)


def test_a_place_tells_what_a_name_does_not() -> None:
    path = Path("fan/normal/monday.wav")
    clip = describe_clip(path, machine_type="fan", split="train", domain="source", label="normal")
    assert clip == Clip(path, "fan", "train", "section_00", "source", "normal", "", None)


def test_only_a_supplemental_clip_has_a_kind() -> None:
    path = Path("section_00_noise_0000.wav")
    assert describe_clip(path, machine_type="fan", split="supplemental").supplemental == "noise"
    assert describe_clip(path, machine_type="fan", split="test").supplemental is None


def test_parameters_and_values_of_a_table_are_joined_in_the_order_of_names(tmp_path: Path) -> None:
    path = tmp_path / "attributes_00.csv"
    path.write_text("file_name,d1p,d1v,d2p,d2v\nfan/train/a.wav,car,A1,spd,28V\nb.wav,car,B1,,\nc,noAttribute,,,\n")
    assert read_attributes(path) == {"fan/train/a.wav": "car_A1_spd_28V", "b.wav": "car_B1", "c": ""}


def test_a_table_may_have_no_attribute_columns_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "attributes_00.csv"
    path.write_text("file_name\na.wav\n\n", encoding="utf-8-sig")
    assert read_attributes(path) == {"a.wav": ""}


def test_cells_beyond_the_header_and_rows_that_stop_short_are_survived(tmp_path: Path) -> None:
    path = tmp_path / "attributes_00.csv"
    path.write_text("file_name,d1p,d1v\na.wav,car,A,extra\nb.wav\n,car,A\n")
    assert read_attributes(path) == {"a.wav": "car_A", "b.wav": ""}


@pytest.mark.parametrize("text", ["", "name,d1p,d1v\na.wav,car,A1\n", "\x00\x01"])
def test_a_table_without_file_names_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "attributes_00.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"attributes_00\.csv: no column file_name|cannot be read"):
        read_attributes(path)


def data_folder() -> Path:
    if "SOUNDNESS_DATA" not in os.environ:
        pytest.skip("SOUNDNESS_DATA does not name the folder of real recordings")
    return Path(os.environ["SOUNDNESS_DATA"])


@pytest.mark.parametrize("name", ["toycar", "dcase2020_slider", "dcase2023_sample"])
def test_every_real_name_is_understood_and_agrees_with_its_folder(name: str) -> None:
    paths = sorted((data_folder() / name).rglob("*.wav"))
    assert len(paths) > 0
    for path in paths:
        parts = parse_name(path.stem)
        assert parts is not None, path
        assert parts.label == ("anomaly" if "anomaly" in path.stem else "normal")
        assert parts.split == (None if name == "dcase2020_slider" else path.parent.name)


def test_every_name_of_the_2025_set_that_others_published_is_understood() -> None:
    folder = data_folder().parent / "published" / "scores_frozen_beats_1nn_dcase2025_dev"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    conditions: dict[str, set[str]] = {}
    for table in sorted(folder.glob("anomaly_score_*.csv")):
        machine_type = table.name.split("_")[2]
        with table.open(newline="") as file:
            names = [parse_name(Path(row[0]).stem) for row in csv.reader(file)]
        parts = [name for name in names if name is not None]
        assert len(parts) == len(names) == 200
        for domain in ("source", "target"):
            for label in ("normal", "anomaly"):
                assert sum((part.domain, part.label) == (domain, label) for part in parts) == 50
        conditions[machine_type] = {part.attributes for part in parts}
    without = {machine_type for machine_type, found in conditions.items() if found == {""}}
    assert without == {"bearing", "slider", "ToyTrain"}
    assert all("" not in found for name, found in conditions.items() if name not in without)


@pytest.mark.parametrize(
    ("file_name", "key"),
    [
        ("fan/train/x.wav", "x"),
        (r"fan\train\x.wav", "x"),
        (r"C:\data/fan\x.FLAC", "x"),
        ("x.wav", "x"),
        ("x", "x"),
        ("run_0.30", "run_0.30"),
        ("run_0.30.wav", "run_0.30"),
        ("x.csv", "x.csv"),
        ("", ""),
    ],
)
def test_a_clip_s_key_is_its_name_without_folder_and_suffix(file_name: str, key: str) -> None:
    assert clip_key(file_name) == key


def test_the_suffix_of_every_recording_is_cut_off() -> None:
    assert {clip_key(f"0.5{suffix}") for suffix in AUDIO_SUFFIXES} == {"0.5"}

"""The whole program on a disk that fills and gets space again: it goes on, says so, and never that all is well."""

import contextlib

import pytest

from live_monitor import SMALL, save_fan, write_stream
from monitored import record
from small_disks import fill, small_disk
from whole_monitor import are_whole, whole_monitor


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", megabytes=8) as folder:
        yield folder


@contextlib.contextmanager
def monitor_on(disk, tmp_path, calibrated, *, store=""):
    """A monitor with a sensor that is live, one that learns, and one that is a folder."""
    save_fan(calibrated, tmp_path / "fan.soundness")
    write_stream(tmp_path / "calm.flac", 60)
    (tmp_path / "drop").mkdir()
    own = f'{SMALL}fault_after = "3s"\n'
    detector = 'detector = "fan.soundness"\n'
    text = f'[store]\nfolder = "{disk}/data"\nbefore_alarm = "2s"\n{store}\n[service]\nport = 0\n'
    for name, source in (("live", "pcm:-?rate=16000"), ("dropped", "folder:drop?poll=0.1")):
        text += f'[[sensor]]\nname = "{name}"\nsource = "{source}"\n{detector}{own}'
    text += f'[[sensor]]\nname = "new"\nsource = "replay:calm.flac?loop=true"\nlearn = "1h"\n{own}'
    (tmp_path / "m.toml").write_text(text)
    with whole_monitor(tmp_path / "m.toml", store_folder=disk / "data") as monitor:
        yield monitor


def test_a_full_disk_is_told_everywhere_and_what_can_be_kept_is(disk, tmp_path, calibrated):
    with monitor_on(disk, tmp_path, calibrated, store="min_free_gigabytes = 0.0") as monitor:
        record(tmp_path / "drop" / "1.wav", 501)
        well = {"live": "normal", "dropped": "normal", "new": "learning"}
        monitor.until(lambda: monitor.states() == well and all(len(monitor.clips(name)) for name in well))
        assert monitor.get("/health").status_code == 200
        assert (monitor.problems(), monitor.summary()) == ([], "1 learning 2 normal")

        ballast = fill(disk)
        record(tmp_path / "drop" / "2.wav", 502)
        monitor.until(lambda: fill(disk) and set(monitor.states().values()) <= {"waiting", "fault"})
        assert "normal" not in monitor.summary()
        assert monitor.get("/health").status_code == 503
        assert "No space left on device" in monitor.get("/").text
        assert "No space left on device" in " ".join(monitor.problems())
        sensors = monitor.sensors()
        assert all("full" in one["state_note"] or "No space" in one["state_note"] for one in sensors.values())
        assert "No space left on device" in monitor.get(f"/sensors/{sensors['live']['id']}").text
        figures = monitor.get("/metrics").text
        assert 'soundness_recorded{sensor="live"} 0.0' in figures
        assert 'soundness_state{sensor="live",state="normal"} 0.0' in figures

        ballast.unlink()
        monitor.until(lambda: monitor.states() == well and not monitor.problems())
        monitor.until(lambda: len(monitor.clips("dropped")) == 2 and monitor.clips("live")[-1][3] == "scored")
        assert monitor.get("/health").status_code == 200
        assert monitor.end() == 0
        assert {row[3:5] for row in monitor.clips("dropped")} == {("scored", "")}
        for name, outcomes in (("live", {"scored", "gap", "fault"}), ("new", {"learned", "gap"})):
            clips = monitor.clips(name)
            assert are_whole(clips)
            assert {row[3] for row in clips} <= outcomes
            assert all("No space left on device" in row[4] for row in clips if row[3] in ("gap", "fault"))
        assert monitor.rows("PRAGMA integrity_check") == [("ok",)]
        assert "No space left on device" in monitor.output
        assert monitor.output.count("trying again") < 10


def test_too_little_free_space_costs_audio_alone_which_is_counted(disk, tmp_path, calibrated):
    with monitor_on(disk, tmp_path, calibrated, store="min_free_gigabytes = 0.003") as monitor:
        monitor.until(lambda: monitor.clips("live"))
        ballast = fill(disk, leaving=2_000_000)
        monitor.is_anomalous = True
        lost = 'soundness_audio_lost_clips_total{sensor="live"} '
        monitor.until(lambda: lost in (text := monitor.get("/metrics").text) and f"{lost}0.0" not in text)
        assert {"live": "alarm", "new": "learning"}.items() <= monitor.states().items()
        (problem,) = monitor.problems()
        assert problem.startswith("too little free space on the disk of the store: no audio is kept until there is mor")
        assert "clip(s) is lost" in problem
        assert problem in monitor.get("/").text
        assert monitor.get("/health").status_code == 200
        assert {row[5] for row in monitor.clips("live")} == {""}
        assert monitor.until(lambda: "too little free space: not learned from" in monitor.clips("new")[-1][4])

        ballast.unlink()
        monitor.until(lambda: monitor.clips("live")[-1][5] and not monitor.clips("new")[-1][4])
        assert monitor.problems() == []
        assert monitor.end() == 0
        assert all((disk / "data" / row[5]).read_bytes()[:4] == b"fLaC" for row in monitor.clips("live") if row[5])
        assert all("space" not in row[4] for row in monitor.clips("live") if row[3] != "scored")
        assert "no audio is kept until there is more" in monitor.output
        assert "there is room again: audio is kept" in monitor.output

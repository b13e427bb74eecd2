import errno
import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest

import seqcast
from service.engine.batching import usable_cpus
from service.engine.session import Device

BUNDLES = Path(__file__).parents[1] / "bundles"


@pytest.fixture
def doctor(capsys, monkeypatch):
    """doctor(*arguments) -> exit status, stdout, stderr."""
    for name in [name for name in os.environ if name.startswith("SEQCAST_")]:
        monkeypatch.delenv(name)

    def doctor(*arguments):
        status = seqcast.main(["doctor", *map(str, arguments)])
        return status, *capsys.readouterr()

    return doctor


def test_all_is_well(doctor):
    status, out, err = doctor("--bundles", BUNDLES)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert f"seqcast {version('seqcast')}" in lines[0]
    assert "onnxruntime " in lines[0]
    assert lines[1].startswith("device     cpu (auto was asked for); CUDA is not used: ")
    assert "CPUExecutionProvider" in lines[2]
    assert lines[3].startswith(f"CPUs       {usable_cpus()} of {os.cpu_count()} usable, ")
    assert lines[4] == f"bundles    {BUNDLES}"
    told = [line.strip().partition(":")[0] for line in lines[5:]]
    assert told == sorted(path.parent.parent.name for path in BUNDLES.glob("*/*/manifest.json"))
    assert all(" loads in " in line for line in lines[5:])


def test_every_version_that_does_not_load_is_a_complaint(doctor, bundles, next_version):
    folder = bundles("daily", "hourly")
    (next_version(folder / "daily" / "1") / "golden.npz").unlink()
    status, out, err = doctor("--bundles", folder)
    assert (status, err) == (1, "seqcast doctor: daily:2: MissingFile: golden.npz is missing\n")
    lines = [line.strip() for line in out.splitlines()]
    assert "daily:2: MissingFile: golden.npz is missing" in lines
    assert any(line.startswith("daily:1: forecast, loads in ") for line in lines)


def test_what_is_passed_over_is_a_complaint(doctor, bundles):
    folder = bundles("daily")
    (folder / "daily" / "v2").mkdir()
    (folder / os.fsdecode(b"\xff") / "1").mkdir(parents=True)
    status, _, err = doctor("--bundles", folder)
    assert status == 1
    assert [line.partition(" is ")[0] for line in err.splitlines()] == ["seqcast doctor: daily/v2", r"\xff"]


def test_no_bundle_and_no_device(doctor, tmp_path):
    status, _, err = doctor("--bundles", tmp_path, "--device", "cuda")
    first, second = err.splitlines()
    assert status == 1
    assert first.startswith("seqcast doctor: device cuda was asked for, but ")
    assert second == f"no bundle in {tmp_path}"


def test_folders_that_cannot_be_looked_through(doctor, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    status, _, err = doctor("--bundles", f"{tmp_path}/file:{tmp_path}/nowhere:{tmp_path}/empty:{tmp_path}/{'x' * 300}")
    assert status == 1
    assert err.splitlines() == [
        f"seqcast doctor: {tmp_path}/file is no folder",
        f"{tmp_path}/nowhere is not there",
        f"{tmp_path}/{'x' * 300} cannot be read: {os.strerror(errno.ENAMETOOLONG)}",
        f"no bundle in {tmp_path}/empty",
    ]


def test_whether_batches_are_captured_in_cuda_graphs(doctor, tmp_path, monkeypatch):
    monkeypatch.setenv("SEQCAST_CUDA_GRAPHS", "true")
    monkeypatch.setattr("service.doctor.choose_device", lambda *given: Device("cuda", *given[1:]))
    monkeypatch.setattr("service.doctor.lack_of_cuda", lambda: None)
    _, out, _ = doctor("--bundles", tmp_path)
    assert out.splitlines()[1] == "device     cuda (auto was asked for); batches are captured in CUDA graphs"


def test_the_same_as_json(doctor):
    status, out, _ = doctor("--bundles", BUNDLES, "--device", "cpu", "--json")
    found = json.loads(out)
    assert (status, found["complaints"]) == (0, [])
    assert (found["device"]["asked_for"], found["device"]["used"]) == ("cpu", "cpu")
    assert found["device"]["cuda_graphs"] is False
    assert found["versions"]["seqcast"] == version("seqcast")
    assert found["cpus"]["usable"] == found["cpus"]["threads"] == usable_cpus()
    hourly = next(each for each in found["bundles"]["versions"] if each["name"] == "hourly")
    assert (hourly["version"], hourly["task"], hourly["fails"]) == (1, "forecast", None)


def test_faulty_settings_are_told(doctor, monkeypatch):
    monkeypatch.setenv("SEQCAST_THREADS", "none")
    status, out, err = doctor()
    assert (status, out) == (1, "")
    assert err.startswith("seqcast doctor: SEQCAST_THREADS: ")

import json
import stat
from dataclasses import replace

import numpy as np
import pytest

from contract import bundle as bundles
from contract.bundle import GOLDEN, MANIFEST, bundle_versions, read_bundle, write_bundle
from contract.errors import FaultyManifest, MissingFile, NewerFormat, WrongHash
from contract.manifest import FORMAT

FILES = {"forecast.onnx": b"graph", GOLDEN: b"golden", "card.md": b"# card"}


@pytest.fixture
def written(tmp_path, manifest):
    return write_bundle(tmp_path, manifest, FILES)


def edit(path, **changes):
    data = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**data, **changes}))


def test_reads_what_it_writes(tmp_path, written, manifest):
    assert written.path == tmp_path / "tiny" / "1"
    assert read_bundle(written.path) == written
    assert replace(written.manifest, files={}) == manifest
    assert {path.name for path in written.path.iterdir()} == {*FILES, MANIFEST}
    assert [path.name for path in written.path.parent.iterdir()] == ["1"]
    assert written.graph("forecast").read_bytes() == b"graph"
    assert written.card() == "# card"


def test_golden_vectors_come_back_by_name(tmp_path, manifest):
    tensors = {"history": np.ones((1, 4, 2)), "calendar": np.ones((1, 6, 4)), "forecast": np.ones((1, 2, 2))}
    np.savez(tmp_path / GOLDEN, **tensors, times=np.array(["2020-01-01"], "M8[ms]"))
    golden = write_bundle(tmp_path, manifest, {**FILES, GOLDEN: (tmp_path / GOLDEN).read_bytes()}).golden()
    assert golden.keys() == {*tensors, "times"}
    np.testing.assert_array_equal(golden["history"], np.ones((1, 4, 2)))
    assert golden["times"].dtype == np.dtype("M8[ms]")


def test_others_may_read_it(written):
    assert stat.S_IMODE(written.path.stat().st_mode) == 0o755


def test_a_version_is_never_overwritten(tmp_path, written, manifest):
    with pytest.raises(FileExistsError, match="never overwritten"):
        write_bundle(tmp_path, manifest, {**FILES, "card.md": b"# other"})
    assert read_bundle(written.path).card() == "# card"


def test_a_half_written_one_is_never_seen(tmp_path, manifest, monkeypatch):
    seen = []

    def write_and_look(path, content):
        seen.append(bundle_versions(tmp_path))
        if path.name == "card.md":
            raise OSError("no space left")

    monkeypatch.setattr(bundles.Path, "write_bytes", write_and_look)
    with pytest.raises(OSError, match="no space left"):
        write_bundle(tmp_path, manifest, FILES)
    assert seen == [{}, {}, {}]
    assert list((tmp_path / "tiny").iterdir()) == []


def test_one_left_behind_by_a_kill_is_passed_over(tmp_path, written):
    (tmp_path / "tiny" / ".draft-x").mkdir()
    assert bundle_versions(tmp_path) == {"tiny": [1]}


def test_refuses_a_wrong_hash(written):
    (written.path / "forecast.onnx").write_bytes(b"other")
    with pytest.raises(WrongHash, match=r"forecast\.onnx: expected sha256 \w{64}, came \w{64}"):
        read_bundle(written.path)


@pytest.mark.parametrize("file", [MANIFEST, *FILES])
def test_refuses_a_missing_file(written, file):
    (written.path / file).unlink()
    with pytest.raises(MissingFile, match=f"{file} is missing"):
        read_bundle(written.path)


@pytest.mark.parametrize(
    ("changes", "came"), [({"version": 2}, "tiny/2"), ({"name": "other"}, "other/1"), ({"version": 10}, "tiny/10")]
)
def test_refuses_a_path_that_says_something_else(written, changes, came):
    edit(written.path, **changes)
    with pytest.raises(FaultyManifest, match=f"expected tiny/1 as in its path, came {came}"):
        read_bundle(written.path)


@pytest.mark.parametrize("file", ["forecast.onnx", GOLDEN])
def test_refuses_a_file_that_no_hash_vouches_for(written, file):
    edit(written.path, files={name: sha for name, sha in written.manifest.files.items() if name != file})
    with pytest.raises(FaultyManifest, match=f"expected a sha256 in files for {file}"):
        read_bundle(written.path)


def test_refuses_a_newer_format(written):
    edit(written.path, format=FORMAT + 1)
    with pytest.raises(NewerFormat):
        read_bundle(written.path)


def test_versions_are_sorted_as_numbers_newest_first(tmp_path):
    for path in ("a/9", "a/10", "a/1", "b/2", "b/draft", "b/.draft-1", "b/01", "b/0", "c/x"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "a" / "11").write_text("a file")
    assert bundle_versions(tmp_path) == {"a": [10, 9, 1], "b": [2]}


def test_no_root_no_versions(tmp_path):
    assert bundle_versions(tmp_path / "none") == {}

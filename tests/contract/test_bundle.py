import errno
import json
import os
import stat
from dataclasses import replace

import numpy as np
import pytest

from contract import bundle as bundles
from contract.bundle import GOLDEN, MANIFEST, Contents, bundle_versions, look_through, read_bundle, write_bundle
from contract.errors import FaultyManifest, MissingFile, NewerFormat, UnusableFile, WrongHash
from contract.manifest import FORMAT, NAME

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


def test_a_root_that_cannot_be_looked_through_has_no_versions_and_says_why(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    circle = f"cannot be read: {os.strerror(errno.ELOOP)}"
    for name, why in (("none", "is not there"), ("file", "is no folder"), ("circle", circle)):
        assert look_through(tmp_path / name) == Contents({}, [], why)
        assert bundle_versions(tmp_path / name) == {}
    assert look_through(tmp_path).closed == ""


def test_what_may_be_meant_as_a_version_and_is_none_is_told(tmp_path):
    strange = ("0", "03", "-1", "5.5", " 7", "abc", "v2", "1" * 16, "9\n")
    silent = (".git", ".10.rsync", "lost+found", "__pycache__")
    for each in ("7", "1" * 15, *strange, *silent):
        (tmp_path / "a" / each).mkdir(parents=True)
    for path in ("Upper/1", "docs/pictures", "Mine/pictures", "new/v1", ".git/1", "lost+found/x"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "new" / "v1" / MANIFEST).touch()
    (tmp_path / "a" / "notes").write_text("a file")
    (tmp_path / "a" / "circle").symlink_to("circle")
    found = look_through(tmp_path)
    assert found.versions == {"a": [int("1" * 15), 7]}
    reason = " is passed over: expected a version such as 12, of up to 15 digits"
    expected = {f"a/{each}{reason}" for each in (*strange[:-1], "9\\n")} | {f"new/v1{reason}"}
    assert set(found.passed_over) == expected | {f"Upper is passed over: expected a name of {NAME.pattern}"}


def test_a_name_of_any_bytes_is_told_in_characters(tmp_path):
    for path in (b"\xff\xfd/1", b"a/1", b"a/\xe92"):
        (tmp_path / os.fsdecode(path)).mkdir(parents=True)
    found = look_through(tmp_path)
    assert found.versions == {"a": [1]}
    assert {each.partition(" is ")[0] for each in found.passed_over} == {r"\xff\xfd", r"a/\xe92"}


@pytest.mark.parametrize("file", [MANIFEST, *FILES])
def test_only_regular_files_are_read(written, file):
    """A pipe is nobody's who writes, a device gives zeros without end."""
    (written.path / file).unlink()
    for make in (os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")):
        make(written.path / file)
        with pytest.raises(UnusableFile, match=f"{file} cannot be read: it is no regular file"):
            read_bundle(written.path)
        (written.path / file).rmdir() if (written.path / file).is_dir() else (written.path / file).unlink()


def test_a_manifest_without_end_is_not_read(written):
    with (written.path / MANIFEST).open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(
        UnusableFile, match=r"manifest\.json cannot be read: expected up to 67108864 bytes, came 1099511"
    ):
        read_bundle(written.path)


def test_a_link_to_a_regular_file_is_read(written, tmp_path):
    (written.path / "card.md").rename(tmp_path / "card")
    (written.path / "card.md").symlink_to(tmp_path / "card")
    assert read_bundle(written.path).card() == "# card"


def test_a_manifest_of_text_that_cannot_be_told_is_refused(written):
    edit(written.path, training={"note": "\ud800"})
    with pytest.raises(FaultyManifest, match="surrogates not allowed"):
        read_bundle(written.path)

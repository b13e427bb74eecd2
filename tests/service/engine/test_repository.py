"""What is served of a folder: at the start, when it is told to load, and as it follows what comes, changes and goes."""

import gc
import logging
import os
import shutil
import weakref
from pathlib import Path

import pytest

from contract.bundle import read_bundle
from contract.errors import UnknownModel, UnusableBundle
from service.engine.repository import Failure, Repository, load_bundle
from service.engine.session import CPU

WORDS = Path(__file__).parents[2] / "translators" / "words" / "1"


@pytest.fixture
def versions(bundles, edit_manifest):
    """versions(9, 10) -> a folder with these versions of the daily bundle."""

    def make(*numbers):
        folder = bundles("daily")
        for number in numbers:
            path = shutil.copytree(folder / "daily" / "1", folder / "daily" / str(number))
            edit_manifest(path, lambda manifest, number=number: manifest.update(version=number))
        shutil.rmtree(folder / "daily" / "1")
        return folder

    return make


@pytest.fixture
def spoil():
    """spoil(folder, 9): a graph of that version is cut short, in place."""

    def cut(folder, version):
        path = folder / "daily" / str(version) / "forecast.onnx"
        path.write_bytes(path.read_bytes()[:-1])

    return cut


def loaded(folder, keep=1):
    repository = Repository([folder], CPU, keep)
    repository.load()
    return repository


def follow(repository, looks=2):
    """As often as a change takes: to be noticed, and to have settled."""
    for _ in range(looks):
        repository.follow()


def numbers(repository, name="daily"):
    return [each.manifest.version for each in repository.served.loaded.get(name, ())]


def broken(repository):
    return [(failure.name, failure.version) for failure in repository.served.failures]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_versions_serve_by_number_not_by_letter(versions, keep):
    served = loaded(versions(8, 9, 10), keep).served
    assert [each.manifest.version for each in served.all] == [10, 9, 8][:keep]
    assert [each.manifest.version for each in served.newest] == [10]
    assert served.get("daily") is served.get("daily:10") is served.newest[0]
    if keep > 1:
        assert served.get("daily:9").manifest.version == 9
    assert served.failures == served.complaints() == []


@pytest.mark.parametrize(
    "reference", ["daily:9", "daily:1", "daily:010", "daily:10:10", "daily:", "weekly", "", ":10", "Daily"]
)
def test_what_is_not_served_is_unknown(versions, reference):
    served = loaded(versions(9, 10)).served
    with pytest.raises(UnknownModel) as caught:
        served.get(reference)
    assert str(caught.value) == f'expected one of the models served (daily:10), came "{reference}"'


def test_without_bundles_nothing_is_known(tmp_path):
    served = loaded(tmp_path).served
    with pytest.raises(UnknownModel, match=r'models served \(none\), came "daily"'):
        served.get("daily")
    assert served.complaints() == [f"no bundle in {tmp_path}"]


def test_the_newest_sound_versions_serve(versions):
    folder = versions(7, 8, 9, 10)
    (folder / "daily" / "10" / "card.md").unlink()
    (folder / "daily" / "8" / "forecast.onnx").write_bytes(b"")
    repository = loaded(folder, keep=2)
    assert numbers(repository) == [9, 7]
    assert broken(repository) == [("daily", 10), ("daily", 8)]
    assert repository.served.failures[0] == Failure("daily", 10, "MissingFile: card.md is missing")
    assert repository.served.complaints() == []


def test_a_version_that_comes_serves_once_it_has_settled(versions, next_version):
    folder = versions(9)
    repository = loaded(folder, keep=2)
    before = repository.served
    next_version(folder / "daily" / "9")
    repository.follow()
    assert repository.served is before
    repository.follow()
    assert numbers(repository) == [10, 9]
    assert repository.served.get("daily:9") is before.get("daily")
    assert before.newest[0].manifest.version == 9  # for who holds it
    after = repository.served
    follow(repository)
    assert repository.served is after


def test_a_bundle_that_comes_serves(versions, bundles):
    repository = loaded(versions(9))
    folder = bundles("hourly")
    follow(repository)
    assert list(repository.served.loaded) == ["daily", "hourly"]
    shutil.rmtree(folder / "hourly")
    follow(repository)
    assert list(repository.served.loaded) == ["daily"]


def test_a_broken_version_leaves_the_others_and_is_told_once(versions, next_version, spoil, caplog):
    folder = versions(9)
    repository = loaded(folder, keep=2)
    next_version(folder / "daily" / "9")
    spoil(folder, 10)
    follow(repository, looks=5)
    assert numbers(repository) == [9]
    assert broken(repository) == [("daily", 10)]
    assert repository.served.complaints() == []
    assert [each.message for each in caplog.records] == [
        f"bundle daily version 10 is not served: {repository.served.failures[0].reason}"
    ]


def test_a_broken_version_is_tried_again_when_its_files_change(versions, next_version, spoil):
    folder = versions(9)
    repository = loaded(folder)
    path = next_version(folder / "daily" / "9")
    spoil(folder, 10)
    follow(repository)
    shutil.copy(folder / "daily" / "9" / "forecast.onnx", path)
    follow(repository)
    assert (numbers(repository), broken(repository)) == ([10], [])


def test_a_bundle_that_came_broken_leaves_the_service_ready(versions, bundles):
    repository = loaded(versions(9))
    folder = bundles("hourly")
    (folder / "hourly" / "1" / "card.md").unlink()
    follow(repository)
    assert broken(repository) == [("hourly", 1)]
    assert repository.served.complaints() == []
    assert loaded(folder).served.complaints() == ["hourly:1: MissingFile: card.md is missing"]
    shutil.rmtree(folder / "hourly")
    follow(repository)
    assert broken(repository) == []


def test_a_copy_that_takes_its_time_serves_when_it_is_whole(versions, edit_manifest, caplog):
    """File by file, in halves, as cp does without a rename; a look between any two."""
    folder = versions(9)
    whole = shutil.copytree(folder / "daily" / "9", folder.parent / "whole")
    edit_manifest(whole, lambda manifest: manifest.update(version=10))
    repository = loaded(folder)
    path = folder / "daily" / "10"
    path.mkdir()
    for file in sorted(whole.iterdir()):
        content = file.read_bytes()
        for size in (0, len(content) // 2, len(content)):
            (path / file.name).write_bytes(content[:size])
            repository.follow()
            assert numbers(repository) == [9]
    assert not caplog.records
    repository.follow()
    assert (numbers(repository), broken(repository)) == ([10], [])


def test_a_copy_that_halts_is_told_and_goes_on(versions, edit_manifest):
    folder = versions(9)
    whole = shutil.copytree(folder / "daily" / "9", folder.parent / "whole")
    edit_manifest(whole, lambda manifest: manifest.update(version=10))
    repository = loaded(folder)
    path = folder / "daily" / "10"
    path.mkdir()
    for file in sorted(whole.iterdir()):
        assert numbers(repository) == [9]
        shutil.copy(file, path)
        follow(repository)
    assert (numbers(repository), broken(repository)) == ([10], [])


def test_what_is_rewritten_in_place_is_served_from_memory_until_it_is_whole(versions, spoil, edit_manifest):
    folder = versions(9, 10)
    repository = loaded(folder)
    before = repository.served.get("daily")
    spoil(folder, 10)
    follow(repository, looks=4)
    assert repository.served.get("daily") is before
    (failure,) = repository.served.failures
    assert failure.reason.startswith("WrongHash: forecast.onnx: ")
    assert failure.reason.endswith("; what was loaded before is served on")
    assert repository.served.complaints() == []
    shutil.copy(folder / "daily" / "9" / "forecast.onnx", folder / "daily" / "10")
    edit_manifest(folder / "daily" / "10", lambda manifest: manifest["training"].update(note="another"))
    follow(repository)
    assert repository.served.get("daily").manifest.training["note"] == "another"
    assert (numbers(repository), broken(repository)) == ([10], [])


def test_files_that_are_touched_but_the_same_are_not_loaded_again(versions, spoil):
    folder = versions(9)
    repository = loaded(folder)
    before = repository.served
    for file in (folder / "daily" / "9").iterdir():
        os.utime(file, (1, 1))
    follow(repository)
    assert repository.served is before


def test_where_the_newest_is_removed_the_one_before_serves(versions, spoil):
    folder = versions(7, 8, 9, 10)
    spoil(folder, 8)
    repository = loaded(folder)
    for removed, expected in ((10, 9), (9, 7)):
        shutil.rmtree(folder / "daily" / str(removed))
        repository.follow()
        assert numbers(repository) == [removed]  # it may be on its way to another name
        follow(repository)
        assert numbers(repository) == [expected]
    assert broken(repository) == [("daily", 8)]


def test_a_folder_that_is_gone_is_waited_for(versions, next_version, caplog):
    folder = versions(9)
    repository = loaded(folder)
    away = folder.rename(folder.parent / "away")
    follow(repository, looks=3)
    folder.mkdir()
    follow(repository, looks=3)
    assert numbers(repository) == [9]
    assert [each.message for each in caplog.records] == [
        f"no bundle is left in {folder}: those in memory are served on"
    ]
    folder.rmdir()
    away.rename(folder)
    next_version(folder / "daily" / "9")
    follow(repository)
    assert numbers(repository) == [10]


def test_ones_own_bundle_hides_a_shipped_one_of_its_name_once_it_is_sound(versions, bundle, spoil, tmp_path, caplog):
    shipped, own = versions(9, 10), tmp_path / "own"
    repository = Repository([own, shipped], CPU, 2)
    repository.load()
    assert numbers(repository) == [10, 9]
    for name in ("daily", "hourly"):
        shutil.copytree(bundle(name).path, own / name / "1")
    spoil(own, 1)
    follow(repository)
    assert (numbers(repository), broken(repository)) == ([10, 9], [("daily", 1)])
    shutil.copy(bundle("daily").path / "forecast.onnx", own / "daily" / "1")
    follow(repository)
    assert (numbers(repository), broken(repository)) == ([1], [])
    assert numbers(repository, "hourly") == [1]
    shutil.rmtree(own / "daily")
    follow(repository)
    assert numbers(repository) == [10, 9]
    shutil.rmtree(own / "hourly")  # the last: a volume that is gone looks the same
    follow(repository)
    assert numbers(repository, "hourly") == [1]
    assert caplog.messages[-1] == f"no bundle is left in {own}: those in memory are served on"


def test_without_bundles_anywhere_all_places_are_told(tmp_path):
    repository = Repository([tmp_path / "own", tmp_path / "shipped"], CPU)
    repository.load()
    assert repository.served.complaints() == [f"{tmp_path}/own is not there", f"{tmp_path}/shipped is not there"]
    with pytest.raises(UnknownModel, match='folder of versions in own or shipped, came "daily"'):
        repository.load_one("daily")


def test_why_there_is_none_is_told_of_the_last_look(tmp_path):
    repository = Repository([tmp_path / "own", tmp_path / "shipped"], CPU)
    repository.load()
    (tmp_path / "own").mkdir()
    (tmp_path / "shipped").touch()
    follow(repository)
    assert repository.served.complaints() == [f"{tmp_path}/shipped is no folder", f"no bundle in {tmp_path}/own"]
    assert repository.found.passed_over == [f"{tmp_path}/shipped is no folder"]


def test_a_folder_that_is_not_there_is_as_one_without_bundles_where_another_has_some(versions, tmp_path):
    repository = Repository([tmp_path / "nowhere", versions(9)], CPU)
    repository.load()
    assert (repository.served.complaints(), repository.found.passed_over) == ([], [])
    repository.unload("daily")
    assert repository.served.complaints() == ["every bundle was unloaded"]


def test_what_is_unloaded_stays_so_until_a_newer_version_comes(versions, next_version, spoil):
    folder = versions(8, 9)
    repository = loaded(folder, keep=2)
    repository.unload("daily")
    os.utime(folder / "daily" / "9" / "card.md", (1, 1))
    follow(repository, looks=3)
    assert numbers(repository) == []
    path = next_version(folder / "daily" / "9")
    spoil(folder, 10)
    follow(repository)
    assert (numbers(repository), broken(repository)) == ([], [("daily", 10)])
    shutil.copy(folder / "daily" / "9" / "forecast.onnx", path)
    follow(repository, looks=3)
    assert numbers(repository) == [10, 9]


def test_what_is_unloaded_comes_back_when_it_is_loaded(versions):
    folder = versions(8, 9)
    repository = loaded(folder)
    repository.unload("daily")
    repository.load_one("daily")
    assert numbers(repository) == [9]
    shutil.rmtree(folder / "daily" / "9")
    follow(repository)
    assert numbers(repository) == [8]


def test_to_load_is_to_take_the_folder_as_it_is(versions, spoil):
    folder = versions(8, 9)
    repository = loaded(folder)
    before = repository.served.get("daily")
    repository.load_one("daily")
    assert repository.served.get("daily") is not before
    spoil(folder, 9)
    repository.load_one("daily")
    assert numbers(repository) == [8]
    spoil(folder, 8)
    with pytest.raises(UnusableBundle, match=r"no version of daily is sound: version 9: .*; version 8: "):
        repository.load_one("daily")
    follow(repository)
    assert (numbers(repository), broken(repository)) == ([8], [("daily", 9), ("daily", 8)])


def test_what_is_replaced_is_freed_when_the_last_who_holds_it_lets_go(versions, next_version):
    folder = versions(9)
    repository = loaded(folder)
    held = repository.served
    old = weakref.ref(held.get("daily").sessions["forecast"])
    next_version(folder / "daily" / "9")
    gc.disable()  # not by and by, but at once
    try:
        follow(repository)
        assert old() is not None
        del held
        assert old() is None
    finally:
        gc.enable()


def test_weights_that_are_rewritten_in_place_change_no_answer(tmp_path):
    """ONNX Runtime maps them: cut short, they would end the process."""
    path = shutil.copytree(WORDS, tmp_path / "words" / "1")
    words = load_bundle(path, CPU)
    weights = path / "weights.bin"
    for content in (b"\xff" * weights.stat().st_size, b""):
        with weights.open("r+b") as file:
            file.write(content)
            file.truncate(len(content))
        for name, graph in words.manifest.graphs.items():
            words.sessions[name].replay(graph, words.golden)


def test_without_space_for_a_copy_weights_are_used_as_they_are(tmp_path, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.engine.repository.TemporaryDirectory", refuse)
    assert load_bundle(WORDS, CPU).manifest == read_bundle(WORDS).manifest
    (told,) = caplog.records
    assert told.levelno == logging.WARNING
    assert told.message == f"no space for a copy of {WORDS}, which must not be written to: No space left on device"

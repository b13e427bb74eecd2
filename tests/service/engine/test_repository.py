import shutil

import pytest

from contract.errors import UnknownModel
from service.engine.repository import Failure, Repository


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


def loaded(folder):
    repository = Repository(folder, "cpu")
    repository.load()
    return repository


def test_the_newest_version_serves_by_number_not_by_letter(versions):
    repository = loaded(versions(9, 10))
    assert repository.get("daily").manifest.version == 10
    assert repository.get("daily:10") is repository.get("daily")
    assert repository.failures == repository.complaints() == []


@pytest.mark.parametrize(
    "reference", ["daily:9", "daily:1", "daily:010", "daily:10:10", "daily:", "weekly", "", ":10", "Daily"]
)
def test_what_is_not_served_is_unknown(versions, reference):
    repository = loaded(versions(9, 10))
    with pytest.raises(UnknownModel) as caught:
        repository.get(reference)
    assert str(caught.value) == f"expected one of the models served (daily:10), came {reference!r}"


def test_without_bundles_nothing_is_known(tmp_path):
    repository = loaded(tmp_path)
    with pytest.raises(UnknownModel, match=r"models served \(none\), came 'daily'"):
        repository.get("daily")
    assert repository.complaints() == [f"no bundle in {tmp_path}"]


def test_the_newest_sound_version_serves(versions):
    folder = versions(8, 9, 10)
    (folder / "daily" / "10" / "card.md").unlink()
    (folder / "daily" / "9" / "forecast.onnx").write_bytes(b"")
    repository = loaded(folder)
    assert repository.get("daily").manifest.version == 8
    assert [(failure.name, failure.version) for failure in repository.failures] == [("daily", 10), ("daily", 9)]
    assert repository.failures[0] == Failure("daily", 10, "MissingFile: card.md is missing")
    assert repository.complaints() == []


def test_loading_again_takes_the_place_of_what_was_loaded(versions):
    folder = versions(9, 10)
    (folder / "daily" / "10" / "card.md").unlink()
    repository = loaded(folder)
    repository.load()
    assert len(repository.failures) == 1
    shutil.rmtree(folder / "daily")
    repository.load()
    assert (repository.loaded, repository.failures) == ({}, [])

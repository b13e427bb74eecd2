"""What lies beside versions, or in them, and holds up no other."""

import os

import pytest

from service.engine import repository as module
from service.engine.repository import Repository
from service.engine.session import CPU


@pytest.fixture
def followed(bundles):
    """A repository that follows a folder with one version of the daily bundle."""
    repository = Repository([bundles("daily")], CPU)
    repository.load()
    return repository


@pytest.fixture
def daily(followed):
    return followed.roots[0] / "daily"


def follow(repository, looks=2):
    for _ in range(looks):
        repository.follow()


def numbers(repository):
    return [each.manifest.version for each in repository.served.loaded["daily"]]


def test_a_version_of_pipes_and_devices_holds_up_no_other(followed, daily, next_version):
    for number, make in ((20, os.mkfifo), (21, lambda path: path.symlink_to("/dev/zero"))):
        (daily / str(number)).mkdir()
        make(daily / str(number) / "manifest.json")
    next_version(daily / "1")
    follow(followed)
    assert numbers(followed) == [2]
    reason = "UnusableFile: manifest.json cannot be read: it is no regular file"
    assert [*map(str, followed.served.failures)] == [f"daily:21: {reason}", f"daily:20: {reason}"]


def test_an_error_that_nobody_thought_of_is_that_versions_own(followed, daily, next_version, monkeypatch, caplog):
    next_version(next_version(daily / "1"))
    read = module.read_bundle
    monkeypatch.setattr(module, "read_bundle", lambda path: read(path) if path.name == "2" else 1 // 0)
    follow(followed)
    assert numbers(followed) == [2]
    (failure,) = followed.served.failures
    assert (failure.version, failure.reason.partition(":")[0]) == (3, "ZeroDivisionError")
    assert "unexpected error at bundle daily version 3" in caplog.messages


def test_what_is_passed_over_is_told_once_and_leaves_the_service_ready(followed, daily, caplog):
    for each in ("v2", "03", ".10.xyz"):
        (daily / each).mkdir()
    follow(followed, looks=3)
    assert [each.partition(" is ")[0] for each in followed.found.passed_over] == ["daily/03", "daily/v2"]
    assert caplog.messages == list(followed.found.passed_over)
    assert followed.served.complaints() == []
    (daily / "v2").rmdir()
    follow(followed)
    assert [each.partition(" is ")[0] for each in followed.found.passed_over] == ["daily/03"]

import re
import stat

import pytest

import seqcast
from contract.errors import FaultySettings
from service.keys import Keys, add_key


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys"


def test_a_key_is_its_owners_and_in_the_file_as_a_hash_alone(path):
    ours, theirs = add_key(path, "ours"), add_key(path, "theirs")
    keys = Keys(path)
    assert (keys.owner(ours), keys.owner(theirs)) == ("ours", "theirs")
    assert ours not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_like_a_key_is_none(path):
    key = add_key(path, "ours")
    keys = Keys(path)
    digest = path.read_text().split(":")[1].strip()
    for other in ("", key[:-1], key + "a", key.upper(), f" {key}", digest, f"sha256:{digest}", "ours", "\udcff", "é"):
        assert keys.owner(other) is None


def test_the_file_holds_as_it_is_at_each_request(path):
    ours = add_key(path, "ours")
    keys = Keys(path)
    theirs = add_key(path, "theirs")
    assert keys.owner(theirs) == "theirs"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert (keys.owner(ours), keys.owner(theirs)) == (None, "theirs")


@pytest.mark.parametrize("spoil", ["half a line", None])
def test_a_file_that_becomes_unusable_changes_nothing(path, caplog, spoil):
    key = add_key(path, "ours")
    keys = Keys(path)
    if spoil is None:
        path.unlink()
    else:
        path.write_text(spoil)
    assert [keys.owner(key), keys.owner(key), keys.owner("x")] == ["ours", "ours", None]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("the API keys stay as they were: SEQCAST_API_KEYS: ")


def test_comments_empty_lines_and_a_last_line_without_an_end(path):
    key = add_key(path, "ours")
    path.write_text(f"# keys\n\n  {path.read_text().strip()}")
    other = add_key(path, "theirs")
    assert [Keys(path).owner(each) for each in (key, other)] == ["ours", "theirs"]


def test_every_faulty_line_is_told(path):
    hashed = f"sha256:{'0' * 64}"
    path.write_text(f"a {hashed}\nb md5:00\na {hashed}\nc d {hashed}\n")
    with pytest.raises(FaultySettings) as caught:
        Keys(path)
    assert [fault.message.removeprefix(f"{path}:") for fault in caught.value.faults] == [
        "2: expected NAME sha256:HEX",
        "3: a second key of a",
        "4: expected NAME sha256:HEX",
    ]


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_refused(path, content):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FaultySettings, match=rf"SEQCAST_API_KEYS: {path} cannot be read: "):
        Keys(path)


def test_the_command_prints_a_key_once(path, capsys, monkeypatch):
    monkeypatch.setenv("SEQCAST_API_KEYS", str(path))
    assert seqcast.main(["keys", "add", "ours"]) == 0
    key = capsys.readouterr().out.strip()
    assert re.fullmatch(r"seqcast_[\w-]{43}", key)
    assert Keys(path).owner(key) == "ours"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ours"], "--file: required, since SEQCAST_API_KEYS names no file"),
        (["a b", "--file", "keys"], "NAME: expected 1 to 64 letters, digits and ._@-, came 'a b'"),
        (["taken", "--file", "keys"], "NAME: taken has a key in keys; to renew it, remove that line first"),
        (["ours", "--file", "no/keys"], "SEQCAST_API_KEYS: no/keys cannot be written: No such file or directory"),
    ],
)
def test_the_commands_complaints(path, capsys, monkeypatch, tmp_path, arguments, said):
    monkeypatch.delenv("SEQCAST_API_KEYS", raising=False)
    monkeypatch.chdir(tmp_path)
    add_key(path, "taken")
    assert seqcast.main(["keys", "add", *arguments]) == 1
    assert capsys.readouterr() == ("", f"seqcast keys: {said}\n")

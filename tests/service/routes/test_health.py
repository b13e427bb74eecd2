"""Alive, ready, and why not: broken bundles are named with what is wrong."""

import io

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from contract.manifest import FORMAT


@pytest.fixture
def readiness(serving):
    """readiness(folder) -> status, and the problem's detail or the versions not served."""

    def ask(folder):
        client = serving(folder)
        assert client.get("/healthz").json() == {"status": "alive"}
        answer = client.get("/readyz")
        told = answer.json()
        if answer.status_code == 503:
            assert answer.headers["content-type"] == "application/problem+json"
            return 503, told["detail"]
        assert told["status"] == "ready"
        return answer.status_code, told["not_served"]

    return ask


def golden_of(path, **changes):
    """The bytes of golden.npz with some tensors changed, or left out where None."""
    with np.load(path / "golden.npz") as arrays:
        tensors = {**arrays, **changes}
    buffer = io.BytesIO()
    np.savez(buffer, **{name: tensor for name, tensor in tensors.items() if tensor is not None})
    return buffer.getvalue()


def spoil_hash(path, **_):
    (path / "forecast.onnx").write_bytes(b"other")


def spoil_card_hash(path, **_):
    (path / "card.md").write_text("better than it is")


def remove_graph(path, **_):
    (path / "forecast.onnx").unlink()


def remove_manifest(path, **_):
    (path / "manifest.json").unlink()


def manifest_as_folder(path, **_):
    (path / "manifest.json").unlink()
    (path / "manifest.json").mkdir()


def manifest_of_words(path, **_):
    (path / "manifest.json").write_text("half writ")


def manifest_as_list(path, **_):
    (path / "manifest.json").write_text("[]")


def newer_format(path, edit_manifest, **_):
    edit_manifest(path, lambda manifest: manifest.update(format=FORMAT + 1, lanes=3))


def other_name(path, edit_manifest, **_):
    edit_manifest(path, lambda manifest: manifest.update(name="weekly"))


def no_columns(path, edit_manifest, **_):
    edit_manifest(path, lambda manifest: manifest["forecast"].pop("columns"))


def other_graph(path, edit_manifest, **_):
    edit_manifest(
        path, lambda manifest: manifest["graphs"].update(forecast=manifest["graphs"].pop("forecast") | {"inputs": []})
    )


def other_lengths(path, edit_manifest, **_):
    """Of graph and specification alike, so that only the graph itself can tell."""

    def shorten(manifest):
        manifest["forecast"].update(seq_len=20)
        manifest["graphs"]["forecast"]["inputs"][0]["shape"][1] = 20
        manifest["graphs"]["forecast"]["inputs"][1]["shape"][1] = 27

    edit_manifest(path, shorten)


def intervals_of_other_steps(path, edit_manifest, **_):
    intervals = {"season": 7, "half_widths": {"80": [[1.0, 1.0]] * 6}}
    edit_manifest(path, lambda manifest: manifest.update(intervals=intervals))


def intervals_of_too_long_a_season(path, edit_manifest, **_):
    edit_manifest(path, lambda manifest: manifest.update(intervals={"season": 28, "half_widths": {}}))


def narrower_intervals_at_a_higher_level(path, edit_manifest, **_):
    half_widths = {"95": [[2.0, 2.0]] * 6 + [[2.0, 0.5]], "80": [[1.0, 1.0]] * 7}
    edit_manifest(path, lambda manifest: manifest.update(intervals={"season": 7, "half_widths": half_widths}))


def no_onnx(path, replace_file, **_):
    replace_file(path, "forecast.onnx", b"\x89PNG no graph")


def empty_onnx(path, replace_file, **_):
    replace_file(path, "forecast.onnx", b"")


def no_archive(path, replace_file, **_):
    replace_file(path, "golden.npz", b"no archive")


def pickled_archive(path, replace_file, **_):
    replace_file(path, "golden.npz", golden_of(path, forecast=np.array([{"a": 1}], object)))


def golden_without_output(path, replace_file, **_):
    replace_file(path, "golden.npz", golden_of(path, forecast=None))


def golden_of_other_rows(path, replace_file, **_):
    replace_file(path, "golden.npz", golden_of(path, history=np.zeros((2, 5, 2))))


def golden_of_other_answer(path, replace_file, **_):
    with np.load(path / "golden.npz") as arrays:
        forecast = arrays["forecast"]
    replace_file(path, "golden.npz", golden_of(path, forecast=forecast + forecast.std() / 100))


def golden_of_other_shape(path, replace_file, **_):
    replace_file(path, "golden.npz", golden_of(path, forecast=np.zeros((2, 3, 2))))


def golden_of_nan(path, replace_file, **_):
    with np.load(path / "golden.npz") as arrays:
        forecast = arrays["forecast"]
    replace_file(path, "golden.npz", golden_of(path, forecast=forecast * np.nan))


BROKEN = {
    spoil_hash: "WrongHash: forecast.onnx: expected sha256 ",
    spoil_card_hash: "WrongHash: card.md: expected sha256 ",
    remove_graph: "MissingFile: forecast.onnx is missing",
    remove_manifest: "MissingFile: manifest.json is missing",
    manifest_as_folder: "UnusableFile: manifest.json cannot be read: ",
    manifest_of_words: "FaultyManifest: expected JSON: ",
    manifest_as_list: "FaultyManifest: expected a table of fields, came []",
    newer_format: f"NewerFormat: format {FORMAT + 1}, but this seqcast reads up to {FORMAT}: upgrade seqcast",
    other_name: "FaultyManifest: expected daily/1 as in its path, came weekly/1",
    no_columns: "FaultyManifest: /forecast/columns: required, but missing",
    other_graph: "FaultyManifest: expected a graph forecast such as ",
    other_lengths: "UnusableFile: forecast.onnx: expected a graph of ",
    intervals_of_other_steps: "FaultyManifest: expected half widths of shape (7, 2) at 80, came (6, 2)",
    narrower_intervals_at_a_higher_level: "FaultyManifest: expected half widths at 95 no smaller than those at 80",
    intervals_of_too_long_a_season: "FaultyManifest: expected a season shorter than seq_len 28, came 28",
    no_onnx: "UnusableFile: forecast.onnx: ONNX Runtime cannot load it: ",
    empty_onnx: "UnusableFile: forecast.onnx: ONNX Runtime cannot load it: ",
    no_archive: "UnusableFile: golden.npz is no file of arrays: ",
    pickled_archive: "UnusableFile: golden.npz is no file of arrays: ",
    golden_without_output: "UnusableFile: expected golden vectors forecast, came ",
    golden_of_other_rows: "UnusableFile: forecast.onnx cannot run on its golden inputs: ",
    golden_of_other_answer: "WrongAnswer: forecast.onnx on its golden inputs: forecast: expected the golden values, ",
    golden_of_other_shape: "WrongAnswer: forecast.onnx on its golden inputs: forecast: expected shape (2, 3, 2), ",
    golden_of_nan: "WrongAnswer: forecast.onnx on its golden inputs: ",
}


@pytest.mark.parametrize("spoil", BROKEN)
def test_a_broken_bundle_is_not_ready_and_says_why(readiness, bundles, edit_manifest, replace_file, spoil):
    path = bundles("daily") / "daily" / "1"
    spoil(path, edit_manifest=edit_manifest, replace_file=replace_file)
    status, detail = readiness(path.parents[1])
    assert status == 503
    assert detail.startswith(f"daily:1: {BROKEN[spoil]}")


def test_ready_with_nothing_to_complain_of(client):
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "not_served": []})


def test_no_folder_and_an_empty_one_are_not_ready(readiness, tmp_path):
    assert readiness(tmp_path) == (503, f"no bundle in {tmp_path}")
    assert readiness(tmp_path / "nowhere") == (503, f"{tmp_path}/nowhere is not there")


def test_a_file_in_place_of_the_folder_is_told_once(readiness, tmp_path):
    (tmp_path / "file").touch()
    assert readiness(tmp_path / "file") == (503, f"{tmp_path}/file is no folder")


def test_one_broken_bundle_leaves_the_others_serving(serving, bundles):
    folder = bundles("daily", "hourly")
    (folder / "daily" / "1" / "golden.npz").unlink()
    client = serving(folder)
    assert client.get("/readyz").json()["detail"] == "daily:1: MissingFile: golden.npz is missing"
    assert client.forecast(client.get("/models/hourly/sample").json())["model"] == "hourly"
    assert client.get("/models/daily").status_code == 404


def test_an_older_version_stands_in_for_a_broken_newest(serving, bundles, next_version):
    folder = bundles("daily")
    newest = next_version(folder / "daily" / "1")
    (newest / "golden.npz").unlink()
    client = serving(folder)
    answer = client.get("/readyz")
    not_served = ["daily:2: MissingFile: golden.npz is missing"]
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "not_served": not_served})
    assert client.forecast(client.get("/models/daily/sample").json())["version"] == 1


def test_every_broken_version_is_told(readiness, bundles, next_version):
    folder = bundles("daily")
    for path in (next_version(folder / "daily" / "1"), folder / "daily" / "1"):
        (path / "card.md").unlink()
    expected = "daily:2: MissingFile: card.md is missing; daily:1: MissingFile: card.md is missing"
    assert readiness(folder) == (503, expected)


def test_half_written_versions_and_other_files_are_passed_over(readiness, bundles):
    folder = bundles("daily")
    (folder / "daily" / ".draft-xyz").mkdir()
    (folder / "daily" / "2").write_text("no folder")
    (folder / "README.md").write_text("no bundle")
    assert readiness(folder) == (200, [])


class Failing:
    """ONNX Runtime's own session, that cannot run where `fails` says so of the inputs."""

    def __init__(self, session, fails, error):
        self._session, self._fails, self._error = session, fails, error

    def __getattr__(self, name):
        return getattr(self._session, name)

    def run(self, names, inputs, options=None):
        if self._fails(inputs):
            raise self._error
        return self._session.run(names, inputs, options)


@pytest.fixture
def failing(serving, bundles):
    """failing(fails, error) -> a client of a service whose graph fails so, and how to mend it."""

    def make(fails, error):
        client = serving(bundles("daily"))
        session = client.app.state.seqcast.served.get("daily").sessions["forecast"]
        sound = session._session
        session._session = Failing(sound, fails, error)
        return client, lambda: setattr(session, "_session", sound)

    return make


@pytest.mark.parametrize("error", [Fail("CUDA failure 700"), RuntimeException("out of memory"), MemoryError("bad")])
def test_an_engine_that_fails_is_not_ready_until_it_works_again(failing, error):
    client, mend = failing(lambda _: True, error)
    assert client.get("/readyz").status_code == 200  # nothing has been asked of it
    body = client.get("/models/daily/sample").json()
    assert client.post("/forecast", json=body).status_code == 500
    for _ in range(2):
        answer = client.get("/readyz")
        assert answer.status_code == 503
        expected = f"daily:1: UnusableFile: forecast.onnx cannot run on its golden inputs: {error}"
        assert answer.json()["detail"] == expected
    assert client.get("/healthz").status_code == 200
    mend()
    assert client.get("/readyz").json() == {"status": "ready", "not_served": []}
    assert client.forecast(body)["model"] == "daily"


def test_a_run_that_fails_by_its_input_alone_leaves_it_ready(failing):
    client, _ = failing(lambda inputs: len(inputs["history"]) == 1, Fail("this row"))
    body = client.get("/models/daily/sample").json()
    assert client.post("/forecast", json=body).status_code == 500
    assert client.get("/readyz").status_code == 200

import numpy as np
import pytest

NAMES = ["daily", "hourly", "monthly", "quarter-hourly", "weekly"]


def test_lists_every_bundle_that_is_served(client):
    assert client.get("/models").json() == {
        "models": [{"name": name, "version": 1, "versions": [1], "task": "forecast"} for name in NAMES]
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_model_tells_how_to_feed_it_and_how_good_it_is(client, bundle, name):
    answer = client.get(f"/models/{name}")
    manifest = bundle(name).manifest
    assert answer.status_code == 200
    told = answer.json()
    assert told["forecast"]["columns"] == list(manifest.forecast.columns)
    assert told["forecast"]["units"] == manifest.forecast.units
    assert told["files"] == manifest.files
    assert told["metrics"] == manifest.metrics
    assert len(told["metrics"]["scores"]) > 1  # a baseline beside the model
    assert told["training"]["recipe"].startswith(f'name = "{name}"')
    assert told["card"] == bundle(name).card()


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_feeds_the_forecast(client, bundle, name):
    sample = client.get(f"/models/{name}/sample").json()
    answer = client.forecast(sample)
    assert answer["model"] == sample["model"] == name
    golden = bundle(name).golden()
    spec = bundle(name).manifest.forecast
    came = [answer["forecasts"][0]["values"][column] for column in spec.columns]
    for column, expected, std in zip(came, golden["forecast"][0].T, spec.scaler.std, strict=True):
        assert column == pytest.approx(expected, abs=1e-4 * std)


@pytest.mark.parametrize("path", ["/models/{}", "/models/{}/sample"])
def test_a_model_may_be_named_with_its_version(client, path):
    told = client.get(path.format("hourly:1")).json()
    assert told.pop("model", "hourly:1") == "hourly:1"  # a sample is for the version that it was asked of
    expected = client.get(path.format("hourly")).json()
    expected.pop("model", None)
    assert told == expected


@pytest.mark.parametrize("path", ["/models/{}", "/models/{}/sample"])
@pytest.mark.parametrize("name", ["nope", "hourly:2", "%2E%2E", "%00", "%ff", "a%2Fb", "x" * 2000])
def test_an_unknown_model_is_404(client, path, name):
    answer = client.get(path.format(name))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_figures_that_are_no_numbers_do_not_break_the_answer(serving, bundles, edit_manifest):
    folder = bundles("daily")
    edit_manifest(folder / "daily" / "1", lambda manifest: manifest["metrics"].update(mse=float("nan")))
    client = serving(folder)
    assert client.get("/models/daily").json()["metrics"]["mse"] is None


def test_a_card_that_is_no_text_does_not_break_the_answer(serving, bundles, replace_file):
    folder = bundles("daily")
    replace_file(folder / "daily" / "1", "card.md", b"\xff\xfe made up")
    assert serving(folder).get("/models/daily").json()["card"].endswith(" made up")


@pytest.mark.parametrize("name", ["hourly", "quarter-hourly", "daily", "weekly", "monthly"])
def test_the_sample_is_a_table_where_csv_is_accepted(client, name):
    table = client.get(f"/models/{name}/sample", headers={"accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    how = {"accept": "application/json", "content-type": "text/csv"}
    came = client.post(f"/forecast?model={name}", content=table.content, headers=how)
    assert came.json() == client.forecast(client.get(f"/models/{name}/sample").json())


@pytest.mark.parametrize("name", ["hourly", "quarter-hourly", "daily", "weekly", "monthly"])
def test_a_sample_goes_on_with_rows_to_hold_back(client, bundle, name):
    spec = bundle(name).manifest.forecast
    (short,) = client.get(f"/models/{name}/sample").json()["series"]
    most = spec.seq_len + spec.pred_len
    (long,) = client.get(f"/models/{name}/sample?rows={most}").json()["series"]
    assert len(long["timestamps"]) == most
    assert long["timestamps"][: spec.seq_len] == short["timestamps"]
    forecast = client.forecast({"model": name, "series": [short]})["forecasts"][0]
    assert long["timestamps"][spec.seq_len :] == forecast["timestamps"]
    for column, std in zip(spec.columns, spec.scaler.std, strict=True):
        values = np.array(long["values"][column])
        assert values[: spec.seq_len].tolist() == short["values"][column]
        # neither a jump, nor the last season once more
        steps = np.abs(np.diff(values)) / std
        assert steps[spec.seq_len - 1 :].max() <= 1.5 * steps[: spec.seq_len].max()
        season = spec.step.season
        if season <= spec.seq_len:
            assert not np.allclose(values[spec.seq_len :], values[-spec.pred_len - season : -season], atol=1e-3 * std)
    table = client.get(f"/models/{name}/sample?rows={most}", headers={"accept": "text/csv"})
    assert len(table.text.splitlines()) == 1 + most


@pytest.mark.parametrize("rows", ["95", "121", "0", "-1", "1e3", "", "x", "9" * 30])
def test_a_sample_of_other_lengths_is_a_fault(client, rows):
    answer = client.get("/models/hourly/sample", params={"rows": rows})
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/rows"


def test_files_that_vanish_under_a_running_service_are_not_missed(serving, bundles, body):
    folder = bundles("hourly")
    client = serving(folder)
    expected = client.get("/models/hourly").json(), client.get("/models/hourly/sample").json()
    for file in (folder / "hourly" / "1").iterdir():
        file.unlink()
    assert (client.get("/models/hourly").json(), client.get("/models/hourly/sample").json()) == expected
    assert client.forecast(body)["version"] == 1

import numpy as np
import onnxruntime
import pytest

from contract.forecast_window import forecast_window

NAMES = ["hourly", "quarter-hourly", "daily", "weekly", "monthly"]


@pytest.fixture(scope="module")
def expected(bundle, table):
    """expected("hourly", seed) -> (horizon, C) of a session of our own, on arrays of our own."""
    sessions = {name: onnxruntime.InferenceSession(bundle(name).graph("forecast")) for name in NAMES}

    def run(name, seed=0):
        window = forecast_window(*table(name, seed=seed), bundle(name).manifest.forecast)
        inputs = {"history": window.history[None], "calendar": window.calendar[None]}
        return sessions[name].run(["forecast"], inputs)[0][0]

    return run


def columns_of(forecast):
    return np.array(list(forecast["values"].values())).T


@pytest.mark.parametrize("name", NAMES)
def test_gives_what_the_graph_gives(client, bundle, series, expected, name):
    spec = bundle(name).manifest.forecast
    answer = client.forecast({"model": name, "series": [series(name)]})
    (forecast,) = answer["forecasts"]
    assert (answer["model"], answer["version"]) == (name, 1)
    assert tuple(forecast["values"]) == spec.columns
    assert len(forecast["timestamps"]) == len(columns_of(forecast)) == spec.pred_len
    np.testing.assert_allclose(columns_of(forecast) / spec.scaler.std, expected(name) / spec.scaler.std, atol=1e-5)


def test_answers_many_series_in_their_order_with_their_ids(client, bundle, series, expected):
    seeds = [*range(40)]
    answer = client.forecast(
        {"model": "hourly", "series": [series("hourly", id=f"s{seed}", seed=seed) for seed in seeds]}
    )
    assert [forecast["id"] for forecast in answer["forecasts"]] == [f"s{seed}" for seed in seeds]
    came = np.stack([columns_of(forecast) for forecast in answer["forecasts"]])
    std = bundle("hourly").manifest.forecast.scaler.std
    np.testing.assert_allclose(came / std, np.stack([expected("hourly", seed) for seed in seeds]) / std, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_alone_is_the_row_in_a_batch(client, bundle, series, name):
    many = client.forecast({"model": name, "series": [series(name, seed=seed) for seed in range(64)]})["forecasts"]
    std = bundle(name).manifest.forecast.scaler.std
    for row in (0, 17, 63):
        (alone,) = client.forecast({"model": name, "series": [series(name, seed=row)]})["forecasts"]
        np.testing.assert_allclose(columns_of(alone) / std, columns_of(many[row]) / std, atol=1e-5)


def test_two_calls_get_the_same_answer(client, series):
    request = {"model": "hourly", "series": [series("hourly", seed=seed) for seed in range(9)]}
    assert client.forecast(request) == client.forecast(request)


def test_a_longer_history_is_cut_to_its_latest_rows(client, series):
    long = series("hourly", rows=500)
    latest = {
        "timestamps": long["timestamps"][-96:],
        "values": {name: column[-96:] for name, column in long["values"].items()},
    }
    assert client.forecast({"model": "hourly", "series": [long]}) == client.forecast(
        {"model": "hourly", "series": [latest]}
    )


@pytest.mark.parametrize("horizon", [1, 7, 24])
def test_a_horizon_is_the_beginning_of_the_whole_forecast(client, body, horizon):
    (whole,) = client.forecast(body)["forecasts"]
    (part,) = client.forecast({**body, "horizon": horizon})["forecasts"]
    assert part["timestamps"] == whole["timestamps"][:horizon]
    assert part["values"] == {name: column[:horizon] for name, column in whole["values"].items()}


def test_series_of_one_call_may_differ_in_length_and_form_of_timestamp(client, series):
    epochs = [1_530_000_000 + 3600 * row for row in range(300)]
    parts = [series("hourly"), series("hourly", rows=300, timestamps=epochs), series("hourly", seed=2)]
    answer = client.forecast({"model": "hourly", "series": parts})
    for part, forecast in zip(parts, answer["forecasts"], strict=True):
        assert [forecast] == client.forecast({"model": "hourly", "series": [part]})["forecasts"]


def test_columns_may_come_in_any_order(client, body):
    turned = {**body["series"][0], "values": dict(reversed(body["series"][0]["values"].items()))}
    assert client.forecast({**body, "series": [turned]}) == client.forecast(body)


def test_whole_numbers_are_numbers(client, body):
    values = {name: [round(value) for value in column] for name, column in body["series"][0]["values"].items()}
    floats = {name: [float(value) for value in column] for name, column in values.items()}
    whole, decimal = ({**body, "series": [{**body["series"][0], "values": each}]} for each in (values, floats))
    assert client.forecast(whole) == client.forecast(decimal)


@pytest.mark.parametrize(
    "fields", [{"model": "hourly"}, {"model": "hourly:1"}, {"model": None}, {}, {"horizon": None, "model": "hourly"}]
)
def test_a_model_is_named_or_told_by_the_columns(client, body, fields):
    del body["model"]
    assert client.forecast({**body, **fields})["model"] == "hourly"


def test_the_only_model_need_not_be_named_even_for_wrong_columns(serving, bundles, body):
    client = serving(bundles("hourly"))
    del body["model"]
    assert client.forecast(body)["model"] == "hourly"
    body["series"][0]["values"]["wind"] = body["series"][0]["values"].pop("temp")
    assert set(client.faults(body)) == {"/series/0/values/wind", "/series/0/values/temp"}


@pytest.mark.parametrize("values", [{"sold": [1], "price": [2]}, {"load": [1]}, {}, 5])
def test_columns_that_do_not_tell_the_model_are_a_fault(client, values):
    message = "required, since the columns do not tell it; one of daily, hourly, monthly, quarter-hourly, weekly"
    assert client.faults({"series": [{"values": values}]})["/model"] == message


@pytest.mark.parametrize("model", ["nope", "hourly:2", "hourly:x", "", ":1", "hourly/1", "HOURLY"])
def test_an_unknown_model_is_404(client, body, model):
    served = "daily:1, hourly:1, monthly:1, quarter-hourly:1, weekly:1"
    message = f'expected one of the models served ({served}), came "{model}"'
    assert client.faults({**body, "model": model}, 404) == {"/model": message}


def test_without_a_model_there_is_503(serving, tmp_path, body):
    client = serving(tmp_path)
    del body["model"]
    assert client.faults(body, 503) == {}


def test_a_content_type_is_not_needed(client, body):
    assert client.post("/forecast", json=body).json() == client.forecast(body)

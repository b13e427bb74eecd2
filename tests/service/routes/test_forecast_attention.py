"""`attention`: which maps come, what their axes say, and what is refused."""

import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.forecast_window import forecast_window

KINDS = {("encoder", 0), ("encoder", 1), ("decoder", 0), ("cross", 0)}


@pytest.fixture
def told(client, series):
    """told(attention=True, **request) -> the maps of an hourly series, by kind and layer."""

    def ask(attention=True, **request):
        body = {"model": "hourly", "series": [series("hourly")], "attention": attention, **request}
        (forecast,) = client.forecast(body)["forecasts"]
        return {(each["kind"], each["layer"]): each for each in forecast["attention"]}

    return ask


@pytest.fixture
def without(bundles, edit_manifest):
    """A folder with a bundle that has no attention graph, and one that has."""
    folder = bundles("hourly", "daily")
    edit_manifest(folder / "daily" / "1", lambda manifest: manifest.update(attention=[]))
    edit_manifest(folder / "daily" / "1", lambda manifest: manifest["graphs"].pop("attention", None))
    return folder


@pytest.fixture(scope="module")
def computed(bundle, table):
    """What the attention graph itself gives for an hourly table, by name of output."""
    times, values = table("hourly")
    window = forecast_window(times, values, bundle("hourly").manifest.forecast)
    session = onnxruntime.InferenceSession(bundle("hourly").graph("attention"))
    names = [output.name for output in session.get_outputs()]
    inputs = {"history": window.history[None], "calendar": window.calendar[None]}
    return {name: output[0] for name, output in zip(names, session.run(names, inputs), strict=True)}


def test_maps_are_the_graph_s_and_rows_not_selected_have_no_weights(told, computed):
    maps = told()
    assert set(maps) == KINDS
    for (kind, layer), each in maps.items():
        weights, selected = computed[f"{kind}_{layer}"], computed[f"{kind}_{layer}_selected"]
        assert [head["head"] for head in each["heads"]] == [0, 1]
        for head in each["heads"]:
            came = np.array(head["weights"], np.float64)
            assert came.shape == (len(each["rows"]["from"]), len(each["columns"]["from"]))
            assert head["selected"] == selected[head["head"]].tolist()
            assert np.isnan(came[~selected[head["head"]]]).all()
            chosen = came[selected[head["head"]]]
            np.testing.assert_allclose(chosen, weights[head["head"]][selected[head["head"]]], atol=1e-6)
            np.testing.assert_allclose(chosen.sum(axis=1), 1, atol=1e-4)
    assert [sum(head["selected"]) for head in maps["encoder", 0]["heads"]] == [25, 25]
    assert all(all(head["selected"]) for head in maps["cross", 0]["heads"])


def test_the_axes_say_which_steps_a_position_stands_for(told, bundle, table):
    times, _ = table("hourly")
    every = np.concatenate([times, bundle("hourly").manifest.forecast.step.following(times, 24)])
    stamps = np.datetime_as_string(every, unit="s").tolist()
    maps = told()
    raw = {"from": stamps[:96], "to": stamps[:96]}
    distilled = {"from": stamps[0:96:2], "to": stamps[1:96:2]}
    decoder = {"from": stamps[48:], "to": stamps[48:]}
    axes = {key: (each["rows"], each["columns"]) for key, each in maps.items()}
    assert axes == {
        ("encoder", 0): (raw, raw),
        ("encoder", 1): (distilled, distilled),
        ("decoder", 0): (decoder, decoder),
        ("cross", 0): (decoder, distilled),
    }


def test_nothing_in_the_decoder_looks_at_later_steps(told):
    for head in told()["decoder", 0]["heads"]:
        assert np.nansum(np.triu(np.array(head["weights"], np.float64), 1)) == 0


def test_the_timestamps_are_in_the_form_that_came(told, series):
    maps = told(series=[{"start": 1529704800, "frequency": "h", "values": series("hourly")["values"]}])
    assert maps["encoder", 1]["rows"]["from"][:2] == [1529704800, 1529712000]
    assert maps["decoder", 0]["rows"]["to"][-1] == 1529704800 + 3600 * 119


def test_the_forecast_is_what_it_is_without_and_the_older_rows_stand_for_nothing(client, series):
    request = {"model": "hourly", "series": [series("hourly", rows=130, seed=seed) for seed in range(3)]}
    plain, attentive = client.forecast(request), client.forecast({**request, "attention": {"heads": [1]}})
    for before, after in zip(plain["forecasts"], attentive["forecasts"], strict=True):
        assert "attention" not in before
        first = after["attention"][0]["rows"]["from"][0]
        assert first == request["series"][0]["timestamps"][130 - 96]
        for name, column in before["values"].items():
            np.testing.assert_allclose(after["values"][name], column, rtol=1e-4)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, KINDS),
        ({"kinds": None, "layers": None, "heads": None}, KINDS),
        ({"kinds": ["cross", "decoder"]}, {("decoder", 0), ("cross", 0)}),
        ({"layers": [1]}, {("encoder", 1)}),
        ({"layers": [0, 0], "kinds": ["encoder"]}, {("encoder", 0)}),
    ],
)
def test_a_selection_leaves_out_the_rest(told, asked, expected):
    assert set(told(asked)) == expected


def test_heads_are_as_asked_for_in_their_order(told):
    for each in told({"heads": [1]}).values():
        assert [head["head"] for head in each["heads"]] == [1]
    assert [head["head"] for head in told({"heads": [1, 0]})["cross", 0]["heads"]] == [0, 1]


def test_a_map_is_a_frame_of_pandas(told):
    each = told()["encoder", 1]
    frame = pd.DataFrame(each["heads"][0]["weights"], each["rows"]["from"], each["columns"]["from"])
    assert frame.dtypes.unique().tolist() == [np.float64]
    assert frame.notna().all(axis=1).tolist() == each["heads"][0]["selected"]


def test_false_is_as_left_out(client, body):
    assert client.forecast({**body, "attention": False}) == client.forecast(body)


def test_of_a_rolled_horizon_the_first_pass_is_told(client, series, told):
    request = {"model": "hourly", "series": [series("hourly")], "horizon": 60, "attention": True}
    (forecast,) = client.forecast(request)["forecasts"]
    assert forecast["attention"] == list(told().values())
    assert forecast["warnings"] == [
        "steps 25 to 60 rest on forecast values",
        "attention is that of the first pass, which forecasts steps 1 to 24",
    ]


@pytest.mark.parametrize(
    ("asked", "faults"),
    [
        ("yes", {"": 'expected true, false, or an object with kinds, layers and heads, came "yes"'}),
        (None, {"": "expected true, false, or an object with kinds, layers and heads, came null"}),
        (1, {"": "expected true, false, or an object with kinds, layers and heads, came 1"}),
        (
            {"layers": [0, 2, -1]},
            {"/layers/1": "expected one of 0, 1, came 2", "/layers/2": "expected one of 0, 1, came -1"},
        ),
        ({"heads": [10**30]}, {"/heads/0": f"expected one of 0, 1, came {10**30}"}),
        ({"kinds": ["cross"], "layers": [1]}, {"/layers/0": "expected one of 0, came 1"}),
        (
            {"kinds": ["encoder", "cross"], "layers": [1]},
            {"/kinds/1": "expected a kind that has a layer asked for, but cross has only 0"},
        ),
        (
            {"kinds": [], "layers": [], "heads": []},
            {
                "/kinds": "expected at least one of encoder, decoder, cross, came none",
                "/layers": "expected at least one of 0, 1, came none",
                "/heads": "expected at least one of 0, 1, came none",
            },
        ),
        (
            {"kinds": ["self"], "layers": [True], "heads": [5], "depth": 1},
            {
                "/depth": "unknown field; expected one of kinds, layers, heads",
                "/kinds/0": 'Input should be "encoder", "decoder" or "cross"; came "self"',
                "/layers/0": "Input should be a valid integer; came true",
                "/heads/0": "expected one of 0, 1, came 5",
            },
        ),
    ],
)
def test_what_there_is_not_is_refused_and_what_there_is_told(client, body, asked, faults):
    expected = {f"/attention{place}": message for place, message in faults.items()}
    assert client.faults({**body, "attention": asked}) == expected
    # among the others
    others = client.faults({**body, "attention": asked, "horizon": 0, "levels": [1]})
    assert set(others) == {*expected, "/horizon", "/levels/0"}


def test_a_model_without_attention_says_which_have_it(serving, without, series):
    request = {"model": "daily", "series": [series("daily")], "attention": {"layers": [0]}}
    message = "expected false, for daily has no attention maps; those served that have are hourly"
    assert serving(without).faults(request) == {"/attention": f'{message}; came {{"layers": [0]}}'}
    (forecast,) = serving(without).forecast({**request, "attention": False})["forecasts"]
    assert "attention" not in forecast


def test_no_more_weights_than_the_setting_allows(serving, bundles, series):
    each = 2 * (96 * 96 + 48 * 48 + 72 * 72 + 72 * 48)
    service = serving(bundles("hourly"), max_attention_values=2 * each)
    request = {"series": [series("hourly")] * 2, "attention": True}
    assert len(service.forecast(request)["forecasts"]) == 2
    request["series"].append(series("hourly"))
    message = f"expected at most {2 * each} weights in all, came {3 * each}: {each} for each of 3 series"
    assert service.faults(request) == {"/attention": f"{message}; ask for fewer series, heads, layers, kinds"}
    assert len(service.forecast({**request, "attention": {"heads": [0]}})["forecasts"]) == 3


def test_a_table_has_no_place_for_maps(client, series, body):
    csv = client.post("/forecast", content=json.dumps({**body, "attention": True}), headers={"accept": "text/csv"})
    message = "expected false with an answer in text/csv, which has no place for it: accept application/json; came true"
    assert csv.json()["errors"] == [{"pointer": "/attention", "message": message}]
    spoilt = {**body, "attention": {}, "levels": [1]}
    csv = client.post("/forecast", content=json.dumps(spoilt), headers={"accept": "text/csv"})
    assert {fault["pointer"] for fault in csv.json()["errors"]} == {"/attention", "/levels/0"}


def test_a_table_that_asks_for_json_gets_them(client, series, told):
    given = series("hourly")
    frame = pd.DataFrame(given["values"]).assign(timestamp=given["timestamps"])
    headers = {"content-type": "text/csv", "accept": "application/json"}
    for asked, expected in ((True, KINDS), ({"kinds": ["cross"]}, {("cross", 0)})):
        query = {"model": "hourly", "attention": json.dumps(asked)}
        answer = client.post("/forecast", params=query, content=frame.to_csv(index=False), headers=headers)
        came = answer.json()["forecasts"][0]["attention"]
        assert {(each["kind"], each["layer"]) for each in came} == expected
        assert came == list(told(asked).values())
    refused = client.post(
        "/forecast", params={**query, "attention": "yes"}, content=frame.to_csv(index=False), headers=headers
    )
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/attention"]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "kinds": st.lists(st.sampled_from(["encoder", "decoder", "cross"]), min_size=1, max_size=4),
            "layers": st.lists(st.integers(0, 1), min_size=1, max_size=3),
            "heads": st.lists(st.integers(0, 1), min_size=1, max_size=3),
        },
    )
)
def test_any_selection_gives_each_kind_layer_and_head_asked_for(client, series, asked):
    body = {"model": "hourly", "series": [series("hourly")], "attention": asked}
    answer = client.post("/forecast", content=json.dumps(body))
    there = {"encoder": {0, 1}, "decoder": {0}, "cross": {0}}
    kinds = asked.get("kinds", list(there))
    known = set.union(*(there[kind] for kind in kinds))
    layers = set(asked.get("layers", known))
    sound = layers <= known and ("kinds" not in asked or all(there[kind] & layers for kind in kinds))
    assert answer.status_code == (200 if sound else 422)
    if sound:
        (forecast,) = answer.json()["forecasts"]
        came = {(each["kind"], each["layer"]) for each in forecast["attention"]}
        assert came == {(kind, layer) for kind in kinds for layer in there[kind] & layers}
        heads = {head["head"] for each in forecast["attention"] for head in each["heads"]}
        assert heads == set(asked.get("heads", [0, 1]))

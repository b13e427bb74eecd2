import ast
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

import seqcast
from contract.bundle import read_bundle
from contract.errors import FaultyRecipe, FaultyTable, UnknownCheckpoint
from model import import_informer2020 as importing
from model.config import parse_recipe
from model.export import onnx_forecaster
from model.forecasting import ForecastGraph, load_data
from model.import_informer2020 import Wishes, import_informer2020
from model.informer2020 import convert_weights
from model.runs import build_model

FOLDER = (
    "informer_{data}_ft{features}_sl96_ll48_pl24_dm{d_model}_nh4_el2_dl1_df64"
    "_at{attn}_fc5_eb{embed}_dtTrue_mxFalse_test_0"
)
TOLD = {"data": "ETTh1", "features": "M", "d_model": 32, "attn": "prob", "embed": "timeF"}
COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
SETTINGS = {"seq_len": 96, "label_len": 48, "pred_len": 24, "n_heads": 4, "factor": 5, "attn": "prob", "mix": False}
BORDERS = (400, 560, 720)


@pytest.fixture(scope="module")
def theirs(shared):
    """A state dict of the public implementation: random weights, 7 columns, 96 -> 24."""
    path = shared / "parity" / "informer_sparse.npz"
    if not path.exists():
        pytest.skip("no reference weights beside the checkout")
    with np.load(path) as arrays:
        assert ast.literal_eval(str(arrays["config"])).items() >= {"d_model": 32, "n_heads": 4, "mix": False}.items()
        return OrderedDict(
            (name.removeprefix("weights/"), torch.from_numpy(arrays[name]))
            for name in arrays.files
            if name.startswith("weights/")
        )


@pytest.fixture(scope="module")
def table(tmp_path_factory, make_table, write_csv):
    return write_csv(tmp_path_factory.mktemp("data") / "ETTh1.csv", make_table(720, columns=COLUMNS))


@pytest.fixture
def save(tmp_path):
    """save(state, folder=FOLDER, **told) -> the path of a checkpoint in a folder so named."""

    def save(state, folder=FOLDER, legacy=False, **told):
        path = tmp_path / "checkpoints" / folder.format(**TOLD | told) / "checkpoint.pth"
        path.parent.mkdir(parents=True)
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)
        return path

    return save


@pytest.fixture
def exported(monkeypatch):
    """What would be exported, instead of the bundle: export_forecast's arguments."""
    monkeypatch.setattr(importing, "export_forecast", lambda *arguments: arguments)


def test_the_bundle_forecasts_as_our_model_with_their_weights(theirs, table, save, tmp_path, capsys):
    flags = ["--bundles", tmp_path / "bundles", "--borders", *BORDERS, "--seed", 3]
    command = ["import", "informer2020", save(theirs), "--data", table, *flags]
    assert seqcast.main([str(argument) for argument in command]) == 0
    path = tmp_path / "bundles" / "etth1-informer2020" / "1"
    assert f"wrote {path}" in capsys.readouterr().out
    assert seqcast.main(["evaluate", str(path), "--data", str(table)]) == 0
    assert capsys.readouterr().out.startswith("137 windows of the test split")

    bundle = read_bundle(path)
    spec = bundle.manifest.forecast
    assert spec.columns == COLUMNS
    recipe = parse_recipe(bundle.manifest.training["recipe"])
    assert recipe.seed == 3
    model = build_model(recipe, spec)
    missing, unexpected = model.load_state_dict(convert_weights(theirs), strict=False)
    assert unexpected == []
    assert all(name.endswith("sample_counts") for name in missing)
    history, calendar, _ = load_data(table, recipe, spec).units["test"].batch(torch.arange(64))
    with torch.no_grad():
        expected = ForecastGraph(model.eval(), spec.scaler)(history, calendar)
    came = onnx_forecaster(bundle.graph("forecast").read_bytes())(history, calendar)
    assert ((came - expected).abs() / torch.tensor(spec.scaler.std)).max() < 1e-4
    assert (expected[0] - expected[1]).abs().max() > 0
    assert FOLDER.format(**TOLD) in bundle.card()
    assert str(tmp_path) not in bundle.card()


def test_the_scaler_is_fitted_on_the_training_rows(theirs, table, save, make_table, exported):
    recipe, spec, *_ = import_informer2020(save(theirs), table, None, Wishes(borders=BORDERS))
    train = make_table(720, columns=COLUMNS).values[:400]
    np.testing.assert_allclose(spec.scaler.mean, train.mean(0))
    np.testing.assert_allclose(spec.scaler.std, train.std(0))
    assert recipe.data.borders == BORDERS


def weights_of(arguments):
    _, _, model, *_ = arguments
    assert not model.training
    return {name: weight for name, weight in model.state_dict().items() if not name.endswith("sample_counts")}


@pytest.mark.parametrize("wrapped", [lambda name: name, lambda name: f"module.{name}"], ids=["plain", "DataParallel"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_takes_what_torch_saves(theirs, table, save, exported, wrapped, legacy):
    path = save({wrapped(name): weight for name, weight in theirs.items()}, legacy=legacy)
    weights = weights_of(import_informer2020(path, table, None, Wishes(borders=BORDERS)))
    torch.testing.assert_close(weights, convert_weights(theirs))


def test_their_fixed_positions_are_not_needed(theirs, table, save, exported):
    state = {**theirs, "enc_embedding.position_embedding.pe": torch.zeros(1, 5000, 32)}
    import_informer2020(save(state), table, None, Wishes(borders=BORDERS))


def test_an_embedding_without_a_bias_gets_zeros(theirs, table, save, exported):
    biases = ("enc_embedding.value_embedding.tokenConv.bias", "dec_embedding.value_embedding.tokenConv.bias")
    path = save({name: weight for name, weight in theirs.items() if name not in biases})
    weights = weights_of(import_informer2020(path, table, None, Wishes(borders=BORDERS)))
    assert weights["encoder_embedding.value.bias"].abs().max() == 0
    assert weights["decoder_embedding.value.bias"].abs().max() == 0


@pytest.mark.parametrize(
    ("told", "wishes", "borders", "fractions"),
    [
        ({}, {}, (8640, 11520, 14400), (0.7, 0.1, 0.2)),
        ({"data": "ETTh2"}, {}, (8640, 11520, 14400), (0.7, 0.1, 0.2)),
        ({"data": "ETTm1"}, {}, (34560, 46080, 57600), (0.7, 0.1, 0.2)),
        ({}, {"borders": BORDERS}, BORDERS, (0.7, 0.1, 0.2)),
        ({}, {"fractions": (0.6, 0.2, 0.2)}, (), (0.6, 0.2, 0.2)),
        ({"data": "my_plant"}, {}, (), (0.7, 0.1, 0.2)),
    ],
)
def test_borders_are_the_flag_s_or_the_data_s(
    theirs, save, make_table, monkeypatch, exported, told, wishes, borders, fractions
):
    monkeypatch.setattr(importing, "read_table", lambda path, config: make_table(57_600, columns=COLUMNS))
    recipe, *_ = import_informer2020(save(theirs, **told), importing.Path("t.csv"), None, Wishes(**wishes))
    assert recipe.data.borders == borders
    assert recipe.data.fractions == fractions


def test_etth1_s_borders_want_etth1_s_rows(theirs, table, save):
    with pytest.raises(FaultyTable, match="expected at least 14400 rows, as in the recipe's borders, came 720"):
        import_informer2020(save(theirs), table, None, Wishes())


def test_a_folder_of_another_name_wants_flags(theirs, table, save, exported):
    path = save(theirs, "my-model")
    with pytest.raises(UnknownCheckpoint, match="neither the folder's name nor a flag tells seq_len, label_len, pred"):
        import_informer2020(path, table, None, Wishes())
    recipe, *_ = import_informer2020(path, table, None, Wishes(SETTINGS, name="mine"))
    assert recipe.name == "mine"
    assert (recipe.model.d_model, recipe.model.n_heads, recipe.model.distil) == (32, 4, True)


def test_a_flag_goes_before_the_folder_s_name(theirs, table, save, exported):
    wishes = Wishes({"d_model": 32, "n_heads": 8, "attn": "full", "mix": True}, borders=BORDERS)
    recipe, *_ = import_informer2020(save(theirs, d_model=512), table, None, wishes)
    assert (recipe.model.d_model, recipe.model.n_heads) == (32, 8)
    assert (recipe.model.attention, recipe.model.mix) == ("full", True)


def test_the_folder_s_name_is_read_whole():
    assert importing.folder_settings(FOLDER.format(**TOLD | {"data": "my_own_plant"})) == {
        **SETTINGS,
        "model": "informer",
        "data": "my_own_plant",
        "features": "M",
        "d_model": 32,
        "e_layers": 2,
        "d_layers": 1,
        "d_ff": 64,
        "embed": "timeF",
        "distil": True,
    }
    assert importing.folder_settings("checkpoints") == {}


def test_a_folder_s_name_without_distil_and_mix_wants_mix():
    settings = importing.folder_settings(FOLDER.format(**TOLD).replace("_dtTrue_mxFalse", ""))
    assert "seq_len" in settings
    assert settings.keys().isdisjoint({"distil", "mix"})


@pytest.mark.parametrize(
    ("data", "target", "order"),
    [
        ("ETTh1", None, ("OT", "a", "b")),
        ("ETTh1", "a", ("OT", "b", "a")),
        ("custom", None, ("a", "b", "OT")),
        ("custom", "a", ("OT", "b", "a")),
        (None, None, ("a", "b", "OT")),
    ],
)
def test_columns_come_in_the_order_that_the_weights_were_trained_on(make_table, data, target, order):
    table = make_table(5, columns=("OT", "a", "b"))
    ordered = importing._in_weights_order(table, data, target)
    assert ordered.columns == order
    for index, name in enumerate(order):
        np.testing.assert_array_equal(ordered.values[:, index], table.values[:, table.columns.index(name)])


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"features": "MS"}, "features MS is not supported, only M"),
        ({"features": "S"}, "features S is not supported, only M"),
        ({"embed": "fixed"}, "embed fixed is not supported, only timeF"),
        ({"embed": "learned"}, "embed learned is not supported, only timeF"),
        ({"attn": "log"}, "attn log is not supported, only prob and full"),
        ({"features": "S", "attn": "log"}, "features S is not supported, only M; attn log is not supported"),
        ({"d_model": 512}, "d_model is 512, but the weights have 32"),
    ],
)
def test_refuses_what_the_folder_s_name_says(theirs, table, save, told, message):
    with pytest.raises(UnknownCheckpoint, match=message):
        import_informer2020(save(theirs, **told), table, None, Wishes(borders=BORDERS))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"d_model": 64, "d_ff": 32, "e_layers": 3, "d_layers": 2, "distil": False},
            "d_model is 64, but the weights have 32; e_layers is 3, but the weights have 2; "
            "d_layers is 2, but the weights have 1; d_ff is 32, but the weights have 64; "
            "distil is False, but the weights have True",
        ),
        ({"n_heads": 5}, "expected n_heads to divide d_model, came 5 and 32"),
        ({"label_len": 100}, "expected 0 <= label_len <= seq_len, came 100 and 96"),
        ({"features": "MS"}, "features MS is not supported, only M"),
    ],
)
def test_refuses_flags_that_cannot_be(theirs, table, save, settings, message):
    with pytest.raises(UnknownCheckpoint) as caught:
        import_informer2020(save(theirs), table, None, Wishes(settings, borders=BORDERS))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.norm.bias": None}, "decoder_norm.bias is missing"),
        ({"enc_embedding.temporal_embedding.embed.bias": None}, "encoder_embedding.calendar.bias is missing"),
        ({"projection.bias": torch.zeros(1)}, r"projection.bias: expected shape \(7,\), came \(1,\)"),
        ({"projection.scale": torch.zeros(1)}, "projection.scale is not one of this model's"),
        ({"head.weight": torch.zeros(1)}, "expected the weights of an Informer, came also head.weight"),
        ({"encoder.encoders.0.norm.weight": torch.zeros(1)}, "model informerstack is not supported, only informer"),
        (
            {"enc_embedding.temporal_embedding.hour_embed.emb.weight": torch.zeros(24, 32)},
            "embed fixed or learned is not supported, only timeF",
        ),
        ({"encoder.conv_layers.0.norm.running_var": None}, "distillers.0.norm.running_var is missing"),
    ],
)
def test_refuses_other_weights(theirs, table, save, change, message):
    state = {name: weight for name, weight in {**theirs, **change}.items() if weight is not None}
    with pytest.raises(UnknownCheckpoint, match=message):
        import_informer2020(save(state), table, None, Wishes(borders=BORDERS))


@pytest.mark.parametrize(
    "state",
    [torch.zeros(3), [torch.zeros(3)], {"epoch": 3}, {"model": {"projection.bias": torch.zeros(7)}}, {}],
    ids=["a tensor", "a list", "no tensor", "nested", "empty"],
)
def test_refuses_what_is_no_state_dict(table, save, state):
    with pytest.raises(UnknownCheckpoint, match=r"holds no state dict|expected the weights of an Informer, came none"):
        import_informer2020(save(state), table, None, Wishes(SETTINGS))


class Payload:
    def __reduce__(self):
        return os.mkdir, ("payload",)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", pickle.dumps(Payload()), b"\x80\x02garbage"])
def test_refuses_what_torch_did_not_save_and_runs_nothing(save, table, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = save({})
    path.write_bytes(content)
    with pytest.raises(UnknownCheckpoint, match="is no whole state dict, or holds more than tensors"):
        import_informer2020(path, table, None, Wishes())
    assert not (tmp_path / "payload").exists()


def test_runs_nothing_of_what_torch_saved(save, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownCheckpoint, match="holds more than tensors"):
        import_informer2020(save({"payload": Payload()}), table, None, Wishes())
    assert not (tmp_path / "payload").exists()


def test_says_which_file_cannot_be_read(table, tmp_path):
    with pytest.raises(UnknownCheckpoint, match=r"cannot read .*none\.pth: No such file or directory"):
        import_informer2020(tmp_path / "none.pth", table, None, Wishes())


@pytest.mark.parametrize(
    ("frequency", "columns", "message"),
    [
        (
            "h",
            COLUMNS[:6],
            "expected 7 number columns, as the weights have, came 6: HUFL, HULL, MUFL, MULL, LUFL, LULL",
        ),
        ("15min", COLUMNS, "expected a table with 4 calendar features, .* came rows every 15min, with 5: minute, hour"),
    ],
)
def test_refuses_another_table(theirs, save, tmp_path, make_table, write_csv, frequency, columns, message):
    path = write_csv(tmp_path / "t.csv", make_table(200, frequency, columns))
    with pytest.raises(FaultyTable, match=message):
        import_informer2020(save(theirs), path, None, Wishes())


def test_refuses_a_target_that_the_table_has_not(theirs, table, save):
    with pytest.raises(FaultyTable, match="/oil: no such number column; the table has HUFL, HULL,"):
        import_informer2020(save(theirs), table, None, Wishes(target="oil"))


@pytest.mark.parametrize(
    ("wishes", "message"),
    [({"name": "My Model"}, "expected a name of"), ({"borders": (3, 2, 1)}, "expected borders of")],
)
def test_refuses_a_recipe_that_cannot_be(theirs, table, save, wishes, message):
    with pytest.raises(FaultyRecipe, match=message):
        import_informer2020(save(theirs), table, None, Wishes(**wishes))

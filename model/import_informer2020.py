"""A checkpoint of the public implementation (zhouhaoyi/Informer2020), and the table that it was trained on -> a bundle.

Theirs is a state dict; how it was configured stands in the name of its folder alone.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contract.bundle import Bundle
from contract.calendar_features import feature_names
from contract.errors import Fault, FaultyTable, UnknownCheckpoint
from model.config import DataConfig, parse_recipe
from model.export import export_forecast
from model.forecasting import ForecastData, forecast_spec
from model.foreign import count_layers, mismatches, read_checkpoint, recipe_text, state_dict
from model.informer import InformerConfig
from model.informer2020 import convert_weights
from model.preprocessing import Table, read_table
from model.runs import build_model

_FOLDER = re.compile(
    r"(?P<model>[^_]+)_(?P<data>.+)_ft(?P<features>[^_]+)_sl(?P<seq_len>\d+)_ll(?P<label_len>\d+)_pl(?P<pred_len>\d+)"
    r"_dm(?P<d_model>\d+)_nh(?P<n_heads>\d+)_el(?P<e_layers>\d+)_dl(?P<d_layers>\d+)_df(?P<d_ff>\d+)"
    r"_at(?P<attn>[^_]+)_fc(?P<factor>\d+)_eb(?P<embed>[^_]+)(_dt(?P<distil>True|False))?(_mx(?P<mix>True|False))?_.*"
)
# those of its data loaders: 12, 4 and 4 months of 30 days
_BORDERS = {
    **dict.fromkeys(("ETTh1", "ETTh2"), (8640, 11520, 14400)),
    **dict.fromkeys(("ETTm1", "ETTm2"), (34560, 46080, 57600)),
}
# for tables other than ETT, its loader moves the target column to the end
_TARGETS = {"WTH": "WetBulbCelsius", "ECL": "MT_320", "Solar": "POWER_136"}
_DEFAULT_TARGET = "OT"
_SUPPORTED = {
    "model": ("informer",),
    "features": ("M",),
    "embed": ("timeF",),
    "attn": ("prob", "full"),
}
_UNTOLD_BY_WEIGHTS = ("seq_len", "label_len", "pred_len", "n_heads", "factor", "attn", "mix")
# later versions of theirs, and what descends from it, have no such bias
_OPTIONAL = ("encoder_embedding.value.bias", "decoder_embedding.value.bias")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says beside the checkpoint; None and () leave it to the folder's name.

    `settings` are by the names of the public implementation (seq_len, attn, mix, ...), and go before
    those of the folder's name.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    seed: int = 1
    borders: tuple[int, ...] = ()
    fractions: tuple[float, ...] = ()
    target: str | None = None


def import_informer2020(checkpoint: Path, table_path: Path, bundles: Path, wishes: Wishes) -> Bundle:
    """Write the checkpoint as the next version of its bundle under `bundles`.

    Raises UnknownCheckpoint, FaultyTable, FaultyRecipe or ExportRefused.
    """
    state = state_dict(read_checkpoint(checkpoint), checkpoint)
    folder = checkpoint.resolve().parent.name
    settings = {**folder_settings(folder), **wishes.settings}
    _refuse_unsupported(settings, state)
    weights = convert_weights(state)
    config, n_columns, n_features = configured(settings, weights)
    table = read_table(table_path, DataConfig())
    table = _in_weights_order(table, settings.get("data"), wishes.target)
    _check_table(table, n_columns, n_features)
    recipe = parse_recipe(_recipe_text(settings, config, table, table_path, wishes))
    spec = forecast_spec(recipe, table)
    model = build_model(recipe, spec)
    load_weights(model, weights)
    provenance = {
        "data_sha256": table.sha256,
        "date": date.today().isoformat(),
        "history": f"by zhouhaoyi/Informer2020{f' as {folder}' if 'data' in settings else ''}, imported from "
        f"{checkpoint.name} (sha256 {hashlib.sha256(checkpoint.read_bytes()).hexdigest()})",
    }
    return export_forecast(recipe, spec, model.eval(), ForecastData.of(table, recipe, spec), provenance, bundles)


def folder_settings(folder: str) -> dict[str, Any]:
    """What the folder's name says; nothing if it is not one of theirs."""
    match = _FOLDER.fullmatch(folder)
    told = {name: text for name, text in match.groupdict().items() if text is not None} if match else {}
    return {name: text == "True" if text in ("True", "False") else _number(text) for name, text in told.items()}


def configured(settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> tuple[InformerConfig, int, int]:
    """The config, the columns and the calendar features of converted `weights`.

    Raises UnknownCheckpoint, naming every setting that is not told, or that the weights contradict.
    """
    measured = _measured(weights)
    n_columns, n_features = measured.pop("columns"), measured.pop("features")
    wrong = [
        f"{name} is {told}, but the weights have {measured[name]}"
        for name, told in settings.items()
        if name in measured and told != measured[name]
    ]
    untold = [name for name in _UNTOLD_BY_WEIGHTS if name not in settings]
    if untold:
        wrong.append(f"neither the folder's name nor a flag tells {', '.join(untold)}")
    if wrong:
        raise UnknownCheckpoint("; ".join(wrong))
    told = {name: settings[name] for name in _UNTOLD_BY_WEIGHTS if name != "attn"}
    attention = "full" if settings["attn"] == "full" else "probsparse"
    try:
        return InformerConfig(**measured, **told, attention=attention), n_columns, n_features
    except ValueError as error:
        raise UnknownCheckpoint(str(error)) from error


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raises UnknownCheckpoint, naming every weight that is missing, over or of another shape."""
    own = model.state_dict()
    drawn = {name: own[name] for name in own if name.endswith("sample_counts")}
    weights = {**drawn, **{name: torch.zeros_like(own[name]) for name in _OPTIONAL}, **weights}
    wrong = mismatches(model, weights)
    if wrong:
        raise UnknownCheckpoint("; ".join(wrong))
    model.load_state_dict(weights)


def _refuse_unsupported(settings: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    found = {name: settings[name] for name in _SUPPORTED if name in settings}
    if any(name.startswith("encoder.encoders.") for name in state):
        found["model"] = "informerstack"
    if any(re.search(r"\.temporal_embedding\.\w+_embed\.", name) for name in state):
        found["embed"] = "fixed or learned"
    wrong = [
        f"{name} {came} is not supported, only {' and '.join(_SUPPORTED[name])}"
        for name, came in found.items()
        if came not in _SUPPORTED[name]
    ]
    if wrong:
        raise UnknownCheckpoint("; ".join(wrong))


def _measured(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the shapes tell. Of one layer, distilling or not is the same."""
    try:
        d_model, columns, _ = weights["encoder_embedding.value.weight"].shape
        measured = {
            "columns": columns,
            "features": weights["encoder_embedding.calendar.weight"].shape[1],
            "d_model": d_model,
            "d_ff": weights["encoder.0.feed_forward.0.weight"].shape[0],
            "e_layers": count_layers("encoder", weights),
            "d_layers": count_layers("decoder", weights),
        }
    except (KeyError, ValueError, IndexError) as error:
        raise UnknownCheckpoint(f"expected the weights of an Informer, came {', '.join(weights) or 'none'}") from error
    if measured["e_layers"] > 1:
        measured["distil"] = count_layers("distillers", weights) > 0
    return measured


def _in_weights_order(table: Table, data: str | None, target: str | None) -> Table:
    if target is not None and target not in table.columns:
        message = f"no such number column; the table has {', '.join(table.columns)}"
        raise FaultyTable([Fault(f"/{target}", message)])
    if target is None and data in _BORDERS:
        return table
    last = target or _TARGETS.get(data, _DEFAULT_TARGET)
    order = sorted(range(len(table.columns)), key=lambda index: table.columns[index] == last)
    return replace(table, columns=tuple(table.columns[index] for index in order), values=table.values[:, order])


def _check_table(table: Table, n_columns: int, n_features: int) -> None:
    wrong = []
    if len(table.columns) != n_columns:
        wrong.append(
            f"expected {n_columns} number columns, as the weights have, "
            f"came {len(table.columns)}: {', '.join(table.columns)}"
        )
    names = feature_names(table.frequency)
    if len(names) != n_features:
        wrong.append(
            f"expected a table with {n_features} calendar features, as the weights have, "
            f"came rows every {table.frequency}, with {len(names)}: {', '.join(names)}"
        )
    if wrong:
        raise FaultyTable([Fault("", message) for message in wrong])


def _recipe_text(
    settings: Mapping[str, Any], config: InformerConfig, table: Table, table_path: Path, wishes: Wishes
) -> str:
    data: dict[str, Any] = {"frequency": str(table.frequency), "columns": table.columns}
    borders = wishes.borders or (() if wishes.fractions else _BORDERS.get(settings.get("data"), ()))
    if borders:
        data["borders"] = borders
    else:
        data["fractions"] = wishes.fractions or DataConfig().fractions
    origin = re.sub(r"[^a-z0-9]+", "-", str(settings.get("data", table_path.stem)).lower()).strip("-")[:40]
    head = {
        "name": wishes.name or f"{origin}-informer2020".lstrip("-"),
        "seed": wishes.seed,
        "architecture": "informer",
    }
    remark = "Imported from zhouhaoyi/Informer2020; the seed draws the key samples alone."
    return recipe_text(remark, head, data=data, model=asdict(config))


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text

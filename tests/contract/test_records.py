import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from contract.errors import Fault
from contract.records import decode, encode


@dataclass(frozen=True)
class Layer:
    width: int
    rate: float = 0.5

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"expected a width from 1 on, came {self.width}")


@dataclass(frozen=True)
class Model:
    name: str
    kind: Literal["wide", "deep"]
    layers: tuple[Layer, ...]
    first: Layer
    frozen: bool = False
    seed: int | None = None
    units: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int | None, ...] = ()


WHOLE = {
    "name": "m",
    "kind": "deep",
    "layers": [{"width": 1}, {"width": 2, "rate": 0.25}],
    "first": {"width": 3},
    "frozen": True,
    "seed": 7,
    "units": {"temp": "°C"},
    "extra": {"any": [1, {"thing": None}]},
    "shape": [None, 96],
}


def faults(**changes):
    data = {**WHOLE, **changes}
    record, found = decode(Model, {name: value for name, value in data.items() if value is not ...})
    assert record is None
    return [(fault.pointer, fault.message) for fault in found]


def test_reads_what_it_writes():
    record, found = decode(Model, WHOLE)
    assert found == []
    assert record == Model(
        name="m",
        kind="deep",
        layers=(Layer(1), Layer(2, 0.25)),
        first=Layer(3),
        frozen=True,
        seed=7,
        units={"temp": "°C"},
        extra={"any": [1, {"thing": None}]},
        shape=(None, 96),
    )
    assert decode(Model, json.loads(json.dumps(encode(record)))) == (record, [])


def test_defaults_stand_in_for_what_may_be_left_out():
    record, found = decode(Model, {"name": "m", "kind": "wide", "layers": [], "first": {"width": 1}})
    assert found == []
    assert record == Model("m", "wide", (), Layer(1))


@pytest.mark.parametrize(
    ("changes", "pointer", "message"),
    [
        ({"nmae": "m"}, "/nmae", "unknown field; expected one of extra, first, frozen, kind,"),
        ({"name": ...}, "/name", "required, but missing"),
        ({"name": 1}, "/name", "expected a string, came 1"),
        ({"name": None}, "/name", "expected a string, came null"),
        ({"kind": "flat"}, "/kind", 'expected one of "wide", "deep", came "flat"'),
        ({"kind": []}, "/kind", 'expected one of "wide", "deep", came []'),
        ({"seed": "7"}, "/seed", 'expected an integer, came "7"'),
        ({"seed": 7.0}, "/seed", "expected an integer, came 7.0"),
        ({"seed": True}, "/seed", "expected an integer, came true"),
        ({"frozen": 1}, "/frozen", "expected true or false, came 1"),
        ({"layers": {"width": 1}}, "/layers", 'expected a list, came {"width": 1}'),
        ({"layers": "ab"}, "/layers", 'expected a list, came "ab"'),
        ({"layers": [{"width": 1}, 2]}, "/layers/1", "expected a table of fields, came 2"),
        ({"layers": [{"width": 1}, {"width": "2"}]}, "/layers/1/width", 'expected an integer, came "2"'),
        ({"layers": [{"width": 1, "rate": True}]}, "/layers/0/rate", "expected a number, came true"),
        ({"layers": [{}]}, "/layers/0/width", "required, but missing"),
        ({"layers": [{"width": 0}]}, "/layers/0", "expected a width from 1 on, came 0"),
        ({"first": None}, "/first", "expected a table of fields, came null"),
        ({"first": {"width": 1, "depth": 2}}, "/first/depth", "unknown field; expected one of rate, width"),
        ({"units": []}, "/units", "expected a table, came []"),
        ({"units": {"temp": 1}}, "/units/temp", "expected a string, came 1"),
        ({"units": {"p/q~r": 1}}, "/units/p~1q~0r", "expected a string, came 1"),
        ({"a/b": 1}, "/a~1b", "unknown field; expected one of"),
        ({"shape": [None, True]}, "/shape/1", "expected an integer, came true"),
        ({"name": ["x" * 100]}, "/name", 'expected a string, came ["' + "x" * 55 + "..."),
    ],
)
def test_names_each_kind_of_fault(changes, pointer, message):
    ((came_pointer, came_message),) = faults(**changes)
    assert came_pointer == pointer
    assert came_message.startswith(message)


def test_lists_every_fault_at_once():
    found = faults(nmae="m", name=..., kind=1, layers=[{"width": True}, {}], units={"a": 1, "b": 2}, seed=1.5)
    assert [pointer for pointer, _ in found] == [
        "/nmae",
        "/name",
        "/kind",
        "/layers/0/width",
        "/layers/1/width",
        "/seed",
        "/units/a",
        "/units/b",
    ]


@pytest.mark.parametrize(("data", "came"), [(None, "null"), ([], "[]"), ("text", '"text"'), (3, "3")])
def test_refuses_what_is_no_table(data, came):
    assert decode(Model, data, "/at") == (None, [Fault("/at", f"expected a table of fields, came {came}")])


def test_a_whole_number_is_a_number():
    record, _ = decode(Layer, {"width": 1, "rate": 2})
    assert isinstance(record.rate, float)

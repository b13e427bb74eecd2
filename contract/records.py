"""Plain JSON or TOML data -> frozen dataclasses, with every fault named.

Manifests and recipes are both read here, so both refuse unknown, missing and mistyped fields alike.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from contract.errors import Fault
from contract.pointers import escape
from contract.quoting import shown

T = TypeVar("T")


def decode(record: type[T], data: object, pointer: str = "") -> tuple[T | None, list[Fault]]:
    """Build `record` from `data`; return it, or None and what is wrong.

    A `ValueError` of the record's own `__post_init__` is a fault as well.
    """
    if not isinstance(data, Mapping):
        return None, [Fault(pointer, f"expected a table of fields, came {shown(data)}")]
    hints = typing.get_type_hints(record)
    fields = {field.name: field for field in dataclasses.fields(record)}  # type: ignore[arg-type]
    faults = [
        Fault(f"{pointer}/{escape(str(key))}", f"unknown field; expected one of {', '.join(sorted(fields))}")
        for key in data
        if key not in fields
    ]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in data:
            values[name], found = _value(hints[name], data[name], f"{pointer}/{name}")
            faults += found
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            faults.append(Fault(f"{pointer}/{name}", "required, but missing"))
    if faults:
        return None, faults
    try:
        return record(**values), []
    except ValueError as error:
        return None, [Fault(pointer, str(error))]


def encode(record: Any) -> dict[str, Any]:
    """The inverse of `decode`: plain data, tuples as lists by the JSON writer."""
    return dataclasses.asdict(record)


def _value(hint: Any, data: Any, pointer: str) -> tuple[Any, list[Fault]]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        if data is None and types.NoneType in args:
            return None, []
        (hint,) = (arg for arg in args if arg is not types.NoneType)
        return _value(hint, data, pointer)
    if origin is typing.Literal:
        known = ", ".join(map(shown, args))
        return data, [] if data in args else [Fault(pointer, f"expected one of {known}, came {shown(data)}")]
    if origin is tuple:
        if not isinstance(data, list | tuple):
            return None, [Fault(pointer, f"expected a list, came {shown(data)}")]
        return _gather(tuple, ((str(i), args[0], item) for i, item in enumerate(data)), pointer)
    if origin is dict:
        if not isinstance(data, Mapping):
            return None, [Fault(pointer, f"expected a table, came {shown(data)}")]
        values, faults = _gather(tuple, ((key, args[1], item) for key, item in data.items()), pointer)
        return dict(zip(data, values, strict=True)), faults
    if dataclasses.is_dataclass(hint):
        return decode(typing.cast(type, hint), data, pointer)
    return _scalar(hint, data, pointer)


def _gather(kind: type, items: Any, pointer: str) -> tuple[Any, list[Fault]]:
    pairs = [_value(hint, item, f"{pointer}/{escape(key)}") for key, hint, item in items]
    return kind(value for value, _ in pairs), [fault for _, found in pairs for fault in found]


def _scalar(hint: Any, data: Any, pointer: str) -> tuple[Any, list[Fault]]:
    if hint is Any:
        return data, []
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data), []
    # bool is a subclass of int, but `epochs = true` is a mistake
    if isinstance(data, hint) and (hint is bool or not isinstance(data, bool)):
        return data, []
    names = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
    return None, [Fault(pointer, f"expected {names[hint]}, came {shown(data)}")]

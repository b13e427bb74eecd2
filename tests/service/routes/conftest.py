"""Bodies and answers of POST /backtest."""

import json

import pytest

from contract.bundle import read_bundle
from tests.service.conftest import BUNDLES
from tests.service.inferring import tensors


@pytest.fixture(scope="session")
def backtest(client):
    """backtest(body) -> the answer's JSON, which must be a success."""

    def backtest(body, to=client):
        answer = to.post("/backtest", content=json.dumps(body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    return backtest


@pytest.fixture(scope="session")
def cut():
    """cut(series, rows) -> its first rows."""

    def cut(series, rows):
        values = {name: column[:rows] for name, column in series["values"].items()}
        return {"timestamps": series["timestamps"][:rows], "values": values}

    return cut


@pytest.fixture(scope="session")
def as_csv():
    """as_csv(series) -> the table, in bytes."""

    def as_csv(series):
        lines = [",".join(["timestamp", *series["values"]])]
        for stamp, *cells in zip(series["timestamps"], *series["values"].values(), strict=True):
            lines.append(",".join([str(stamp), *("" if cell is None else repr(cell) for cell in cells)]))
        return "\n".join(lines).encode()

    return as_csv


@pytest.fixture(scope="session")
def holed():
    """holed(series, (column, row), ...) -> a copy with nulls there."""

    def holed(series, *holes):
        values = {name: [*column] for name, column in series["values"].items()}
        for name, row in holes:
            values[name][row] = None
        return {**series, "values": values}

    return holed


@pytest.fixture(scope="session")
def daily():
    """Golden tensors of the daily bundle."""
    return read_bundle(BUNDLES / "daily" / "1").golden()


@pytest.fixture
def sound(daily):
    """A request of two daily rows, to spoil."""
    return {"id": "x", **tensors(history=daily["history"], calendar=daily["calendar"])}

import json
from pathlib import Path

import pytest

import seqcast

BUNDLES = Path(__file__).parents[1] / "bundles"


@pytest.fixture
def backtest(capsys, monkeypatch, tmp_path):
    """backtest(*arguments) -> exit status, stdout, stderr."""
    monkeypatch.delenv("SEQCAST_BUNDLES", raising=False)
    monkeypatch.chdir(tmp_path)

    def backtest(*arguments):
        status = seqcast.main(["backtest", *map(str, arguments), "--bundles", str(BUNDLES)])
        return status, *capsys.readouterr()

    return backtest


@pytest.fixture
def csv(series, tmp_path):
    """csv(rows) -> the path of a table of the daily model, its timestamps in the column "day"."""

    def csv(rows):
        table = series("daily", rows)
        lines = ["day,sold,price"]
        columns = (table["timestamps"], *table["values"].values())
        lines += [",".join(map(str, cells)) for cells in zip(*columns, strict=True)]
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines))
        return path

    return csv


def test_says_the_sentence_first_and_then_the_scores(backtest, csv):
    status, out, err = backtest("daily", csv(200), "--stride", 2)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert "daily" in lines[0]
    assert "helps on this table" in lines[0] or "On this table" in lines[0]
    assert all(len(line) <= 120 for line in lines)
    header = lines.index(next(line for line in lines if line.split()[:1] == ["model"]))
    assert lines[header].split() == ["model", "last", "value", "last", "season", "ridge"]
    labels = ["all, scaled", "sold", "price", *(f"step {step}" for step in range(1, 8))]
    for line, label in zip(lines[header + 1 :], labels, strict=False):
        assert line.startswith(label)
        assert line.count("/") == (4 if label.startswith("step") else 8)
    assert "An origin every 2 rows." in out
    assert "note: the bundle does not say which rows it was trained on" in out


def test_is_what_the_route_answers(backtest, csv, client):
    path = csv(200)
    arguments = ("--time-column", "day", "--share", 0.3, "--fill", "previous", "--json")
    status, out, _ = backtest("daily:1", path, *arguments)
    assert status == 0
    parameters = {"model": "daily:1", "time_column": "day", "share": "0.3", "fill": "previous"}
    headers = {"content-type": "text/csv"}
    came = client.post("/backtest", content=path.read_bytes(), headers=headers, params=parameters)
    assert json.loads(out) == came.json()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("daily", "none.csv"), "cannot read none.csv: No such file or directory"),
        (
            ("nope", "table.csv"),
            "expected one of the models served (daily:1, hourly:1, monthly:1, quarter-hourly:1, weekly:1)",
        ),
        (("daily", "table.csv"), "/rows: expected at least 35 rows, came 30"),
        (
            ("daily", "table.csv", "--stride", 2**70, "--json"),
            "/stride: Input should be less than or equal to 1000000000",
        ),
        (("daily", "table.csv", "--share", 2, "--fill", "x"), "/share: Input should be less than 1; came 2.0\n/fill: "),
        (
            ("hourly", "table.csv"),
            "/columns/sold: unknown column; expected load, temp, wind/gust~max\n/columns/price: ",
        ),
    ],
)
def test_a_complaint_says_what_is_wrong(backtest, csv, arguments, said):
    csv(30)
    status, out, err = backtest(*arguments)
    assert (status, out) == (1, "")
    assert err.startswith(f"seqcast backtest: {said}")


def test_a_long_list_of_faults_is_cut(backtest, csv):
    path = csv(60)
    path.write_text(path.read_text().replace("T20:", "T25:"))
    status, _, err = backtest("daily", path)
    assert status == 1
    lines = err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 40 more"

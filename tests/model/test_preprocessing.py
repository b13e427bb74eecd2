import numpy as np
import pandas as pd
import pytest

from contract.errors import FaultyTable
from contract.frequency import Frequency
from model.config import DataConfig
from model.preprocessing import read_table


def stamps(frequency, n, start="2018-01-01"):
    first = np.array([start], "M8[ms]")
    return np.concatenate([first, Frequency.parse(frequency).following(first, n - 1)])


@pytest.fixture
def write(tmp_path):
    """write(date=..., OT=...): the columns given in the place of those of a sound table, as a CSV's path."""

    def write(**columns):
        table = {"date": stamps("h", 30), "OT": np.arange(30.0), "p/q": np.arange(30)} | columns
        pd.DataFrame(table).to_csv(tmp_path / "table.csv", index=False)
        return tmp_path / "table.csv"

    return write


def faults(path, config=None):
    with pytest.raises(FaultyTable) as caught:
        read_table(path, config or DataConfig())
    return [(fault.pointer, fault.message) for fault in caught.value.faults]


@pytest.mark.parametrize("frequency", ["s", "5min", "15min", "h", "2h", "D", "B", "W", "M", "3M"])
def test_infers_the_frequency(write, frequency):
    table = read_table(write(date=stamps(frequency, 30)), DataConfig())
    assert str(table.frequency) == frequency
    np.testing.assert_array_equal(table.times, stamps(frequency, 30))
    assert table.times.dtype == np.dtype("M8[ms]")


@pytest.mark.parametrize("start", ["2019-10-31", "2019-10-30", "2019-12-31T06:00"])
def test_month_ends_are_months(write, start):
    assert str(read_table(write(date=stamps("M", 30, start)), DataConfig()).frequency) == "M"


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("kind", [int, float])
def test_epoch_columns(write, unit, per_second, kind):
    seconds = stamps("h", 30).astype("M8[s]").astype(np.int64)
    table = read_table(write(date=(seconds * per_second).astype(kind)), DataConfig())
    np.testing.assert_array_equal(table.times, stamps("h", 30))


@pytest.mark.parametrize(
    "write_stamp",
    [
        "{0:%Y-%m-%dT%H:%M:%S}",
        "{0:%Y-%m-%d %H:%M}",
        "{0:%m/%d/%Y %H:%M}",
        "{0.month}/{0.day}/{0.year} {0.hour}:{0:%M}",
        "{0:%d %b %Y %H:%M}",
        "{0:%Y-%m-%dT%H:%M:%S}Z",
        "{0:%Y-%m-%dT%H:%M:%S}+02:00",
    ],
)
def test_forms_of_timestamps_and_a_zone_keeps_its_wall_clock(write, write_stamp):
    clock = stamps("h", 30, "2018-01-12T20:00")  # the 13th tells day from month
    texts = [write_stamp.format(stamp) for stamp in clock.tolist()]
    np.testing.assert_array_equal(read_table(write(date=texts), DataConfig()).times, clock)


def test_dates_that_do_not_tell_day_from_month_are_a_fault(write):
    ((pointer, message),) = faults(write(date=[f"{stamp:%m/%d/%Y %H:%M}" for stamp in stamps("h", 30).tolist()]))
    assert pointer == "/date"
    assert 'write 2018-01-02 or 2018-02-01 for "01/02/2018 00:00"' in message


def test_takes_every_number_column_in_the_table_s_order(write):
    table = read_table(write(station=["A"] * 30, flag=[1] * 30), DataConfig())
    assert table.columns == ("OT", "p/q", "flag")
    np.testing.assert_array_equal(table.values[:, 0], np.arange(30))
    assert table.values.dtype == np.float64
    assert len(table.sha256) == 64


def test_takes_the_columns_asked_for_in_the_order_asked_for(write):
    table = read_table(write(OT=np.arange(30) * 2), DataConfig(columns=("p/q", "OT")))
    assert table.columns == ("p/q", "OT")
    np.testing.assert_array_equal(table.values, np.arange(30)[:, None] * [1, 2])


def test_the_time_column_may_be_anywhere_and_of_any_name(tmp_path):
    frame = pd.DataFrame({"station": ["A"] * 30, "OT": range(30), "measured at": stamps("h", 30)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv", DataConfig()).columns == ("OT",)
    assert read_table(tmp_path / "t.csv", DataConfig(time_column="measured at")).columns == ("OT",)


@pytest.mark.parametrize(
    ("columns", "pointer", "message"),
    [
        (
            {"date": np.delete(stamps("h", 31), 7)},
            "/date/7",
            "expected one row every h, came 2018-01-01T08:00:00.000 after 2018-01-01T06:00:00.000 (1 gaps)",
        ),
        (
            {"date": stamps("h", 30)[[0, 1, 2, 2, *range(4, 30)]]},
            "/date/3",
            "expected increasing timestamps, came 2018-01-01T02:00:00.000 after 2018-01-01T02:00:00.000 (1 such rows)",
        ),
        (
            {"date": stamps("h", 30)[[*range(10), 12, 11, 10, *range(13, 30)]]},
            "/date/11",
            "expected increasing timestamps, came 2018-01-01T11:00:00.000 after 2018-01-01T12:00:00.000 (2 such rows)",
        ),
        ({"date": ["2018-01-01", "soon"] * 15}, "/date", "expected timestamps of one form: "),
        ({"date": [*map(str, stamps("h", 29)), None]}, "/date/29", "expected a timestamp, came nothing"),
        ({"date": [*(1514764800.0 + 3600 * np.arange(29)), np.nan]}, "/date/29", "expected a timestamp, came nothing"),
        ({"date": np.arange(1990, 2020)}, "/date", "expected timestamps or epoch numbers, came numbers up to 2019"),
        ({"date": ["2018-01-01T00:00", "2018-01-01T01:00+02:00"] * 15}, "/date", "expected timestamps of one"),
        ({"OT": [*range(29), "x"]}, "/OT/29", 'expected a number, came "x" (1 such rows)'),
        ({"OT": [0, "x", "", *range(27)]}, "/OT/1", 'expected a number, came "x" (2 such rows)'),
        ({"OT": [*range(28), np.nan, np.nan]}, "/OT/28", "expected a number, came NaN (2 such rows)"),
        ({"OT": [np.inf, *range(29)]}, "/OT/0", "expected a number, came Infinity (1 such rows)"),
        ({"p/q": [*range(29), "x"]}, "/p~1q/29", 'expected a number, came "x" (1 such rows)'),
        ({"OT": [np.nan] * 30}, "/OT/0", "expected a number, came NaN (30 such rows)"),
        ({"OT": ["a"] * 30, "p/q": ["b"] * 30}, "", "expected at least one number column"),
    ],
)
def test_names_each_kind_of_fault(write, columns, pointer, message):
    ((came_pointer, came_message),) = faults(write(**columns))
    assert came_pointer == pointer
    assert came_message.startswith(message)


@pytest.mark.parametrize(
    ("config", "pointer", "message"),
    [
        ({"columns": ("OT", "a/b")}, "/a~1b", "no such column; the table has date, OT, p/q"),
        ({"time_column": "a/b"}, "/a~1b", "no such column; the table has date, OT, p/q"),
        ({"frequency": "15min"}, "/date", "expected frequency 15min, came h"),
        ({"columns": ("date",)}, "/date/0", 'expected a number, came "2018-01-01 00:00:00" (30 such rows)'),
    ],
)
def test_names_what_the_recipe_asks_for_in_vain(write, config, pointer, message):
    assert faults(write(), DataConfig(**config)) == [(pointer, message)]


def test_a_faulty_number_column_is_not_taken_for_timestamps(tmp_path):
    years = [*range(1990, 2019), "x"]
    pd.DataFrame({"OT": years, "date": stamps("h", 30)}).to_csv(tmp_path / "t.csv", index=False)
    assert faults(tmp_path / "t.csv") == [("/OT/29", 'expected a number, came "x" (1 such rows)')]


def test_lists_every_fault(write):
    path = write(date=["2018-01-01", "soon"] * 15, OT=[*range(29), "x"], load=[np.nan, *range(29)])
    assert [pointer for pointer, _ in faults(path)] == ["/OT/29", "/load/0", "/date"]
    path = write(date=np.delete(stamps("h", 31), 7), OT=[*range(29), "x"])
    assert [pointer for pointer, _ in faults(path)] == ["/OT/29", "/date/7"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", [("", "expected a CSV with a header: there is nothing in it")]),
        (b"\xff\xfe\x00", None),
        (b"a,b\n1,2\n", [("", "expected a timestamp column, came a, b")]),
        (b"OT,load\n", [("", "expected a timestamp column, came OT, load")]),
        (b"date\n", None),
        (b"date,OT\n", None),
        (b"date,OT\n2018-01-01,1\n", [("/date", "expected at least 3 rows to infer a frequency, came 1")]),
        (b'date,OT\n2018-01-01,1\n2018-01-02,"1\n', None),
        (b"date,OT\n2018-01-01,1\n2018-01-02,1,2\n", None),
    ],
)
def test_refuses_what_is_hardly_a_table(tmp_path, content, expected):
    (tmp_path / "t.csv").write_bytes(content)
    came = faults(tmp_path / "t.csv")
    assert came
    assert expected in (None, came)


def test_says_which_file_cannot_be_read(tmp_path):
    ((_, message),) = faults(tmp_path / "none.csv")
    assert message == f"cannot read {tmp_path / 'none.csv'}: No such file or directory"


def test_spaces_behind_commas_are_no_part_of_names(tmp_path):
    """As the service reads them: the same file trains and is served."""
    rows = "".join(f"2026-01-01T{hour:02}:00:00, {hour}.5, {hour}\n" for hour in range(24))
    path = tmp_path / "spaced.csv"
    path.write_text(f"timestamp, a kW, b\n{rows}")
    assert read_table(path, DataConfig()).columns == ("a kW", "b")


@pytest.mark.parametrize("cell", ["NA", "N/A", "NaN", "null", "-", "#N/A", ""])
def test_cells_without_a_value_are_as_the_service_has_them(tmp_path, cell):
    """contract.tables has them for both."""
    rows = "".join(f"{stamp},{cell if row == 5 else row}\n" for row, stamp in enumerate(stamps("h", 30)))
    (tmp_path / "t.csv").write_text(f"date,OT\n{rows}")
    ((pointer, message),) = faults(tmp_path / "t.csv")
    assert (pointer, message[:31]) == ("/OT/5", "expected a number, came NaN (1 ")
    assert read_table(tmp_path / "t.csv", DataConfig(fill="interpolate")).values[5, 0] == 5


def test_semicolons_and_decimal_commas(tmp_path):
    rows = "".join(
        f"{stamp:%d.%m.%Y %H:%M};{row},5;Rome, Italy\n" for row, stamp in enumerate(stamps("h", 400).tolist())
    )
    (tmp_path / "t.csv").write_text(f"Datum;OT;where\n{rows}")
    table = read_table(tmp_path / "t.csv", DataConfig())
    assert table.columns == ("OT",)
    np.testing.assert_array_equal(table.values[:, 0], np.arange(400) + 0.5)
    np.testing.assert_array_equal(table.times, stamps("h", 400))


def test_a_number_of_too_many_digits_is_a_fault(write):
    ((pointer, message),) = faults(write(OT=["9" * 400, *range(29)]))
    assert pointer == "/OT/0"
    assert "(1 such rows)" in message


def test_a_cell_that_would_be_read_as_another_is_a_fault(tmp_path):
    (tmp_path / "t.csv").write_text('date,OT\n2018-01-01,"6"7\n')
    assert faults(tmp_path / "t.csv") == [("/rows/0", "expected CSV: ',' expected after '\"'")]


def test_a_column_without_a_name_counts_rows(write):
    """As pandas writes its index; in the service's tables it is no model's column either."""
    path = write()
    path.write_text(
        "".join(f"{row - 1 if row else ''},{line}\n" for row, line in enumerate(path.read_text().splitlines()))
    )
    table = read_table(path, DataConfig())
    assert table.columns == ("OT", "p/q")
    assert table.notes[0].endswith(": one without a name")


def test_a_cell_more_than_names_moves_nothing(tmp_path):
    """pandas would take the timestamps for an index, and the first numbers for timestamps."""
    (tmp_path / "t.csv").write_text("date,OT\n2018-01-01,1,\n2018-01-02,2\n")
    assert faults(tmp_path / "t.csv") == [("/rows/0", "expected 2 cells as in the header, came 3")]


def test_a_name_that_comes_twice_is_a_fault(tmp_path):
    (tmp_path / "t.csv").write_text("date,a,b,a\n2018-01-01,1,2,3\n")
    assert faults(tmp_path / "t.csv") == [("/a", "expected each column once, came 2 of this name")]


def test_what_was_left_out_is_told(write):
    """A column of numbers with a text in it is a fault, however sparse it is."""
    path = write(station=["A"] * 30, note=[None] * 29 + ["x"])
    left = "left out, for most of their cells are no numbers or they have no name: "
    assert read_table(path, DataConfig()).notes == (f"{left}station, note",)
    assert read_table(path, DataConfig(columns=("OT",))).notes == ()
    sparse = write(meter=[1, 2, "x", *[None] * 27])
    assert [pointer for pointer, _ in faults(sparse, DataConfig(fill="interpolate"))] == ["/meter/2"]


@pytest.mark.parametrize(
    ("write_stamp", "notes"),
    [
        ("{0:%Y-%m-%dT%H:%M}", ()),
        ("{0:%Y-%m-%dT%H:%M}Z", ("timestamps on the clock of UTC",)),
        ("{0:%Y-%m-%dT%H:%M}+05:30", ("timestamps on the clock of UTC+05:30",)),
        ("{0:%d/%m/%Y %H:%M}", ('timestamps read as day, month, year, which "13/01/2018 00:00" tells',)),
    ],
)
def test_whose_clock_it_is_on_is_told(write, write_stamp, notes):
    clock = stamps("h", 30, "2018-01-12T20:00")
    assert read_table(write(date=[write_stamp.format(stamp) for stamp in clock.tolist()]), DataConfig()).notes == notes
    winter = [f"{stamp:%Y-%m-%dT%H:%M}+01:00" for stamp in clock.tolist()[:15]]
    summer = [f"{stamp:%Y-%m-%dT%H:%M}+02:00" for stamp in stamps("h", 31, "2018-01-12T20:00").tolist()[16:]]
    both = read_table(write(date=winter + summer), DataConfig()).notes
    assert both == ("timestamps with 2 offsets from UTC: all put on the clock of the latest, UTC+02:00",)

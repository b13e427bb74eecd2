"""Splits and windows of a table.

N windows, L = seq_len + pred_len rows each, C columns, F calendar features.
"""

from torch import Tensor

from contract.errors import Fault, FaultyTable
from contract.manifest import ForecastSpec
from model.config import DataConfig
from model.preprocessing import Table
from model.windows import Windows

SPLITS = ("train", "val", "test")


def split_rows(config: DataConfig, n_rows: int) -> dict[str, slice]:
    """Rows of train, validation and test, without the context that comes before them.

    Raises FaultyTable if the table ends before the recipe's borders do.
    """
    if config.borders:
        borders = config.borders
    else:
        train, _, test = config.fractions
        end = round(n_rows * sum(config.fractions))
        borders = (int(n_rows * train), end - int(n_rows * test), end)  # rounded as the published splits are
    if borders[2] > n_rows:
        raise FaultyTable(
            [Fault("", f"expected at least {borders[2]} rows, as in the recipe's borders, came {n_rows}")]
        )
    return dict(zip(SPLITS, map(slice, (0, *borders), borders), strict=True))


def split_windows(table: Table, calendar: Tensor, values: Tensor, spec: ForecastSpec, rows: slice) -> Windows:
    """The windows whose forecasts lie in `rows`; the first ones reach back for their context.

    Raises FaultyTable if there is not one.
    """
    seen = with_context(rows, spec)
    windows = Windows(values[seen], calendar[seen], spec.seq_len, spec.pred_len)
    if len(windows) < 1:
        raise FaultyTable(
            [
                Fault(
                    "",
                    f"expected at least {spec.seq_len + spec.pred_len} rows in each split, "
                    f"came {len(windows.values)} of the table's {len(table.times)}",
                )
            ]
        )
    return windows


def with_context(rows: slice, spec: ForecastSpec) -> slice:
    """A split's rows and those before them that its first forecast looks back on."""
    return slice(max(0, rows.start - spec.seq_len), rows.stop)

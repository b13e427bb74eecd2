import numpy as np
import pytest
from hypothesis import settings

from contract.graphs import Graph, Tensor
from contract.manifest import FORMAT, ForecastSpec, Manifest
from contract.scaler import Scaler

# no deadline: others share the machine; derandomized: a red run is the commit's doing, not the dice's
settings.register_profile("seqcast", deadline=None, derandomize=True)
settings.load_profile("seqcast")


@pytest.fixture
def spec():
    """Two hourly columns, 4 rows -> 2."""
    return ForecastSpec(
        columns=("load", "temp"),
        units={"temp": "°C"},
        frequency="h",
        seq_len=4,
        label_len=2,
        pred_len=2,
        calendar=("hour", "day_of_week", "day_of_month", "day_of_year"),
        scaler=Scaler(("load", "temp"), (10.0, 20.0), (2.0, 0.5)),
    )


@pytest.fixture
def manifest(spec):
    return Manifest(
        format=FORMAT,
        name="tiny",
        version=1,
        task="forecast",
        graphs={
            "forecast": Graph(
                "forecast.onnx",
                (Tensor("history", "float64", (None, 4, 2)), Tensor("calendar", "float32", (None, 6, 4))),
                (Tensor("forecast", "float64", (None, 2, 2)),),
            )
        },
        files={},
        forecast=spec,
        metrics={"mse": 0.5},
        training={"recipe": "", "parameters": 3},
    )


@pytest.fixture
def hours():
    """hours(n): n hourly timestamps from Friday 2018-06-22T20:00 on."""
    return lambda n: np.datetime64("2018-06-22T20:00", "ms") + np.arange(n) * np.timedelta64(1, "h")

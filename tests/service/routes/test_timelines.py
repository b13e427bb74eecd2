"""Tables in CSV and in Arrow whose rows are spoiled: the forecast of the clean ones, or a named error."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.routes.test_forecast_arrow import stream

BOUNDED = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
ARROW, CSV = "application/vnd.apache.arrow.stream", "text/csv"


@pytest.mark.parametrize("kind", [CSV, ARROW])
@BOUNDED
@given(data=st.data())
def test_a_spoiled_timeline_gives_the_clean_forecast_or_a_named_error(client, series, kind, data):
    part = series("hourly", 120)
    times = pd.to_datetime(part["timestamps"]).tz_localize(data.draw(st.sampled_from([None, "UTC", "Asia/Tokyo"])))
    clean = pd.DataFrame({"time": times, **part["values"]})
    rows = list(range(120))
    gaps = data.draw(st.lists(st.integers(24, 118), max_size=3, unique=True))
    rows = [row for row in rows if row not in gaps] + data.draw(st.lists(st.integers(0, 23), max_size=3))
    spoiled = clean.iloc[data.draw(st.permutations(rows)) if data.draw(st.booleans()) else rows]
    fill = data.draw(st.sampled_from(["error", "interpolate", "previous"]))

    def forecast(frame, fill):
        written = frame.assign(time=frame["time"].map(pd.Timestamp.isoformat)).to_csv(index=False).encode()
        content = stream(pa.Table.from_pandas(frame, preserve_index=False)) if kind == ARROW else written
        url = f"/forecast?model=hourly&fill={fill}"
        return client.post(url, content=content, headers={"content-type": kind, "accept": CSV})

    expected, came = forecast(clean, "error"), forecast(spoiled, fill)
    assert expected.status_code == 200, expected.text
    if came.status_code != 200:
        assert came.status_code == 422
        assert all(fault["pointer"].startswith("/rows") and fault["message"] for fault in came.json()["errors"])
        assert fill == "error"
        return
    wanted, told = (pd.read_csv(io.StringIO(answer.text)) for answer in (expected, came))
    assert told["time"].tolist() == wanted["time"].tolist()
    assert fill != "error" or spoiled["time"].tolist() == clean["time"].tolist()
    if not gaps:  # what was filled is another history
        np.testing.assert_allclose(told.iloc[:, 1:], wanted.iloc[:, 1:])
    else:
        assert "x-seqcast-warnings" in came.headers

"""The part that is the same behind every server: JSON's lists to arrays, the graph, and back."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from contract.calendar_features import calendar_features


class Model:
    """One graph on one thread; safe to call from several."""

    def __init__(self) -> None:
        folder = Path(os.environ["PEER_BUNDLE"])
        spec = json.loads((folder / "manifest.json").read_text())["forecast"]
        self._columns, self._pred_len = spec["columns"], spec["pred_len"]
        self._calendar = tuple(spec["calendar"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(folder / "forecast.onnx", options)

    def forecast(self, body: dict[str, Any]) -> dict[str, Any]:
        """Of one series with a row an hour."""
        (series,) = body["series"]
        history = np.array([series["values"][name] for name in self._columns], dtype=np.float64).T
        times = np.array(series["timestamps"], dtype="M8[s]")
        future = times[-1] + np.arange(1, self._pred_len + 1) * np.timedelta64(3600, "s")
        calendar = calendar_features(np.concatenate([times, future]), self._calendar)
        (forecast,) = self._session.run(["forecast"], {"history": history[None], "calendar": calendar[None]})
        values = dict(zip(self._columns, forecast[0].T.tolist(), strict=True))
        return {"forecasts": [{"timestamps": future.astype(str).tolist(), "values": values}]}

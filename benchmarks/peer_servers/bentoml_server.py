"""BentoML: bentoml serve benchmarks.peer_servers.bentoml_server:Forecast --port PORT."""

import os

import bentoml

from benchmarks.peer_servers.model import Model


@bentoml.service(workers=int(os.environ["PEER_WORKERS"]), threads=1, traffic={"timeout": 600})
class Forecast:
    def __init__(self):
        self.model = Model()

    @bentoml.api(route="/forecast")
    def forecast(self, model: str, series: list) -> dict:
        return self.model.forecast({"model": model, "series": series})

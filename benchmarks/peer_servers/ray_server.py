"""Ray Serve: python -m benchmarks.peer_servers.ray_server PORT WORKERS.

Behind HAProxy, which must be installed, if RAY_SERVE_ENABLE_HA_PROXY=1.
"""

import signal
import sys

import orjson
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.peer_servers.model import Model


@serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 0})
class Forecast:
    def __init__(self):
        self.model = Model()

    async def __call__(self, request: Request) -> Response:
        answer = self.model.forecast(orjson.loads(await request.body()))
        return Response(orjson.dumps(answer), media_type="application/json")


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config={"enable_access_log": False}
    )
    serve.run(Forecast.options(num_replicas=int(sys.argv[2])).bind(), route_prefix="/forecast")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()

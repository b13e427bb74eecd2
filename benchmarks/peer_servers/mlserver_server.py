"""MLServer: python -m benchmarks.peer_servers.mlserver_server PORT WORKERS, in one process with a pool of threads."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import orjson
from fastapi import Request, Response
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.handlers import custom_handler

from benchmarks.peer_servers.model import Model


class Forecast(MLModel):
    async def load(self) -> bool:
        self.model = Model()
        self.pool = ThreadPoolExecutor(int(sys.argv[2]))
        return True

    @custom_handler(rest_path="/forecast")
    async def forecast(self, request: Request) -> Response:
        body = orjson.loads(await request.body())
        answer = await asyncio.get_running_loop().run_in_executor(self.pool, self.model.forecast, body)
        return Response(orjson.dumps(answer), media_type="application/json")


async def serve(port: int) -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=port + 1,
        metrics_endpoint=None,
        parallel_workers=0,
        debug=False,
        use_structured_logging=False,
    )
    server = MLServer(settings)
    await server.start([ModelSettings(name="forecast", implementation=Forecast)])


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

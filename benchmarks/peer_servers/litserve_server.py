"""LitServe: python litserve_server.py PORT WORKERS."""

import sys

import litserve

from benchmarks.peer_servers.model import Model


class Forecast(litserve.LitAPI):
    def setup(self, device):
        self.model = Model()

    def predict(self, request):
        return self.model.forecast(request)


if __name__ == "__main__":
    server = litserve.LitServer(
        Forecast(api_path="/forecast"), accelerator="cpu", workers_per_device=int(sys.argv[2]), timeout=False
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")

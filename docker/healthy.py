"""Exit status 0 if the service in this container is ready. By http.client, which asks no proxy of the environment."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["SEQCAST_PORT"]), timeout=5)
connection.request("GET", "/readyz")
sys.exit(connection.getresponse().status != http.HTTPStatus.OK)

# The training job: `docker run -v TABLES:/data -v BUNDLES:/bundles seqcast-train train RECIPE --data /data/TABLE.csv`.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE seqcast.py ./
COPY contract contract
COPY model model
COPY service/__init__.py service/cli.py service/
RUN pip install --no-cache-dir --constraint constraints.txt '.[train]'
WORKDIR /work
ENTRYPOINT ["seqcast"]

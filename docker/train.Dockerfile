# The training job, laid out like a checkout, so that its command lines are the README's: tables in /job/data, runs in
# /job/runs, bundles in /job/bundles. BASE is any image with Python 3.11 or later, venv and pip; one whose
# PIP_FIND_LINKS has the CPU build of torch gives an image without the libraries of CUDA.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS source
WORKDIR /src
# dependencies first, with an outline of the code that they are of: each of its files changes more often than they do
RUN python3 -m venv --without-pip /opt/seqcast && mkdir contract model service && \
    touch README.md LICENSE seqcast.py contract/__init__.py model/__init__.py service/__init__.py
COPY pyproject.toml constraints.txt ./

FROM source AS packages
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/seqcast install --constraint constraints.txt '.[train]'

FROM source AS code
COPY README.md LICENSE seqcast.py ./
COPY contract contract
COPY model model
COPY service/__init__.py service/cli.py service/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/seqcast install --no-deps --prefix=/code .

FROM ${BASE}
# volumes take their owner from here
RUN install --directory --owner=65534 --group=65534 /job /job/bundles /job/runs
ENV PATH=/opt/seqcast/bin:$PATH HOME=/tmp
COPY --from=packages /opt/seqcast /opt/seqcast
COPY --from=code /code /opt/seqcast
COPY model/recipes /job/model/recipes
USER 65534:65534
WORKDIR /job
ENTRYPOINT ["seqcast"]

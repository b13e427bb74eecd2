# The service: on a CPU (`serve`, what is built by default) and on a GPU (`serve-gpu`). No torch, no compiler, and no
# pip but the base image's in what runs. BASE is any image with Python 3.11 or later, venv and pip.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS source
WORKDIR /src
# dependencies first, with an outline of the code that they are of: each of its files changes more often than they do
RUN python3 -m venv --without-pip /opt/seqcast && mkdir contract model service && \
    touch README.md LICENSE seqcast.py contract/__init__.py model/__init__.py service/__init__.py
COPY docker/trim.sh /trim.sh
COPY pyproject.toml constraints.txt ./

FROM source AS packages
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/seqcast install --constraint constraints.txt '.[serve,otel]' && sh /trim.sh /opt/seqcast

# the CUDA libraries are among the packages, so the base image needs none
FROM source AS packages-gpu
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/seqcast install --constraint constraints.txt '.[serve-gpu,otel]' && sh /trim.sh /opt/seqcast

FROM source AS code
COPY README.md LICENSE seqcast.py ./
COPY contract contract
COPY model model
COPY service service
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/seqcast install --no-deps --prefix=/code .

FROM ${BASE} AS runtime
# for bundles of one's own, before those that are shipped; a volume takes its owner from here
RUN install --directory --owner=65534 --group=65534 /bundles
ENV PATH=/opt/seqcast/bin:$PATH \
    SEQCAST_HOST=0.0.0.0 SEQCAST_PORT=8000 SEQCAST_BUNDLES=/bundles:/opt/seqcast/bundles SEQCAST_LOG_FORMAT=json
USER 65534:65534
EXPOSE 8000
COPY docker/healthy.py /opt/healthy.py
# on a host whose CPUs are all taken, Python alone takes seconds to start
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s CMD ["python3", "/opt/healthy.py"]
ENTRYPOINT ["seqcast"]
CMD ["serve"]

FROM runtime AS serve-gpu
COPY --from=packages-gpu /opt/seqcast /opt/seqcast
COPY bundles /opt/seqcast/bundles
COPY --from=code /code /opt/seqcast

FROM runtime AS serve
COPY --from=packages /opt/seqcast /opt/seqcast
COPY bundles /opt/seqcast/bundles
COPY --from=code /code /opt/seqcast

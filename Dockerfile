# The service on a CPU. No torch, no compiler and no pip cache in what runs.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/seqcast
# dependencies first: they change less often than the code
COPY pyproject.toml constraints.txt README.md LICENSE seqcast.py ./
COPY contract/__init__.py contract/
COPY model/__init__.py model/
COPY service/__init__.py service/
RUN /opt/seqcast/bin/pip install --no-cache-dir --constraint constraints.txt '.[serve]'
COPY contract contract
COPY model model
COPY service service
RUN /opt/seqcast/bin/pip install --no-cache-dir --no-deps --force-reinstall .

FROM ${BASE} AS serve
COPY --from=build /opt/seqcast /opt/seqcast
COPY bundles /bundles
ENV PATH=/opt/seqcast/bin:$PATH SEQCAST_HOST=0.0.0.0 SEQCAST_BUNDLES=/bundles SEQCAST_LOG_FORMAT=json
USER 65534:65534
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
  CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["seqcast"]
CMD ["serve"]

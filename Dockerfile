# The service with the embedded model pair built in:  docker compose up   (docker-compose.yml sets limits and volumes)
#
# Stages: packages -> pair (converts the packaged weights) -> service (packages without a compiler, the pair, the code).
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM base AS packages
# uv knows where PyTorch keeps its builds: TORCH_BACKEND=cpu takes the one without CUDA. Everything else comes from the
# package index that the build is set up with (PIP_* and UV_* build arguments of your own network apply).
ARG UV_VERSION=0.13.8
ARG TORCH_BACKEND=cpu
WORKDIR /build
RUN pip install --no-cache-dir "uv==${UV_VERSION}" && uv venv --no-cache /opt/venv
COPY requirements.txt ./
RUN uv pip install --no-cache --python /opt/venv/bin/python --compile-bytecode \
    --torch-backend "${TORCH_BACKEND}" -r requirements.txt

FROM packages AS pair
COPY requirements-embedded.txt ./
RUN uv pip install --no-cache --python /opt/venv/bin/python --no-deps -r requirements-embedded.txt
COPY app ./app
COPY scripts/build_embedded.py ./scripts/
COPY models/embedded ./models/embedded
RUN python scripts/build_embedded.py

FROM base AS service
LABEL org.opencontainers.image.title="MedModal Fusion" \
      org.opencontainers.image.licenses="Apache-2.0"
# The relative paths of .env.example (data/..., models/full/...) hold in the container too: they lead to the volumes.
WORKDIR /srv/medmodal
RUN mkdir -p models /data /models /versions \
    && ln -s /data data \
    && ln -s /models/full models/full \
    && chown 10001:10001 /data /versions
COPY --from=packages /opt/venv /opt/venv
# Whatever the umask of the clone was, the service's user can read what it runs.
COPY --chmod=755 app ./app
RUN python -m compileall -q app
COPY --chmod=755 scripts ./scripts
COPY --chmod=644 LICENSE ./
COPY --chmod=755 models/embedded ./models/embedded
COPY --from=pair /build/models/embedded/build ./models/embedded/build
USER 10001:10001
ENV HOME=/tmp \
    ORT_DISABLE_TELEMETRY=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    VERSIONS_DIR=/versions
VOLUME ["/data", "/versions"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "app"]

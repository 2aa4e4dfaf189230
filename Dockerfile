# The service without a database, which ALGOPLATFORM_DATABASE_URL names. `./dev image` builds the image, and
# tests/deploy/test_image.py builds and runs it.

FROM python:3.11-slim AS build
# If PyPI is unreachable, --build-arg PIP_INDEX_URL=... sets another index; hashes are checked in any case. The two
# optional secrets are a pip.conf and the certificates that it names; neither the image nor its history contains them.
ARG PIP_INDEX_URL
ENV PIP_CONFIG_FILE=/run/secrets/pip.conf
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /venv
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    /venv/bin/python -m pip install --require-hashes -r requirements.lock
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    python -m pip install --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY alembic alembic
COPY src src
RUN python -m hatchling build -t wheel -d dist
RUN /venv/bin/python -m pip install --no-deps dist/*.whl

FROM python:3.11-slim
COPY --from=build /venv /venv
# The service writes only to /tmp: large uploads while they arrive, and metrics if there are several workers.
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    ALGOPLATFORM_HOST=0.0.0.0
WORKDIR /tmp
VOLUME /tmp
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('ALGOPLATFORM_PORT', '8000') + '/healthz', timeout=2)"]
# The service refuses to start unless ALGOPLATFORM_TRUST_GATEWAY=true declares an authenticating gateway in front of
# it, or ALGOPLATFORM_AUTH=token is set.
ENTRYPOINT ["algoplatform"]
CMD ["serve"]

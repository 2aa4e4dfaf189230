# The service without a database: ALGOPLATFORM_DATABASE_URL says where one is. `./dev image` builds it, and
# tests/deploy/test_image.py builds and runs it.

FROM python:3.11-slim AS build
# Where PyPI cannot be reached, --build-arg PIP_INDEX_URL=... names another index; the hashes hold all the same. The secrets, both
# optional, are a pip.conf and the certificates that it names: what is in them stays out of the image and of its history.
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
# Only /tmp is written to: large uploads on their way in, and the figures of several workers.
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
# It refuses to start until ALGOPLATFORM_TRUST_GATEWAY=true says that what stands in front authenticates, or ALGOPLATFORM_AUTH=token.
ENTRYPOINT ["algoplatform"]
CMD ["serve"]

# The service without a database: ALGOPLATFORM_DATABASE_URL says where one is.
# tests/test_packaging.py takes the same steps where there is no Docker.

FROM python:3.11-slim AS build
# Where PyPI cannot be reached: docker build --build-arg PIP_INDEX_URL=... names what stands in for it. The hashes hold all the same.
ARG PIP_INDEX_URL
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /venv
RUN /venv/bin/python -m pip install --require-hashes -r requirements.lock
RUN python -m pip install --require-hashes -r requirements-build.lock
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

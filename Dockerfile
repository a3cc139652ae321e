# One image, three programs: `ingress`, `consumer run` and, to play with, `sandbox fuse`.
# Besides them `schemas check-tenants FILE` tells what is wrong with a tenants file.

FROM python:3.13-slim-bookworm AS build
WORKDIR /build
COPY requirements/run.txt requirements/build.txt requirements/
# What the programs need goes into an environment of its own; what only the build needs stays behind in this stage.
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv install --no-cache-dir --no-deps --require-hashes -r requirements/run.txt \
    && python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements/build.txt
# The project's own wheel holds nothing but its name and version; the programs run from their folders.
COPY pyproject.toml README.md LICENSE ./
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m pip --python /venv install --no-cache-dir --no-deps /wheels/fuse_sync-*.whl

FROM python:3.13-slim-bookworm
WORKDIR /app
COPY --from=build /venv /venv
COPY LICENSE ./
COPY schemas/ schemas/
COPY broker/ broker/
COPY ingress/ ingress/
COPY consumer/ consumer/
COPY sandbox/ sandbox/
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# By number, so that Kubernetes can tell that it is not root. Nothing is written anywhere.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m"]
CMD ["ingress"]

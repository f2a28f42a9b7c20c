# Dagster's webserver, daemon and code location, and the `driftline` command: one image.
FROM python:3.11.13-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    DAGSTER_DISABLE_TELEMETRY=1 \
    DBT_SEND_ANONYMOUS_USAGE_STATS=false \
    DO_NOT_TRACK=1 \
    DRIFTLINE_HOME=/var/lib/driftline \
    DAGSTER_HOME=/var/lib/dagster

# The number is fixed, so that volumes keep their owner when the image is built anew.
RUN groupadd --gid 10001 driftline \
    && useradd --uid 10001 --gid driftline --home-dir /var/lib/driftline \
        --create-home --shell /usr/sbin/nologin driftline

WORKDIR /opt/driftline

# As in the Makefile: only bytes whose hash is pinned are installed or run, and what has
# no wheel is built with the locked setuptools, which therefore comes first.
COPY deploy/requirements.lock deploy/
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN awk '/^[^ ]/ {kept = /^setuptools==/} kept' deploy/requirements.lock \
        | pip install --no-deps --require-hashes --requirement /dev/stdin \
    && pip install --no-deps --no-build-isolation --use-pep517 --require-hashes \
        --requirement deploy/requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY orchestration orchestration
COPY simulator simulator
COPY dbt_project dbt_project
COPY deploy/dagster.yaml deploy/workspace.yaml /var/lib/dagster/

# dbt writes beside its project, Dagster below its home; all else belongs to root.
RUN pip install --no-deps --no-build-isolation --editable . \
    && mkdir -p dbt_project/target dbt_project/logs /var/lib/dagster/storage \
    && chown -R driftline:driftline \
        dbt_project/target dbt_project/logs /var/lib/dagster

# The user above, by number: some hosts refuse a name, since it may be that of root.
USER 10001:10001

# The manifest, which every process would else make first.
RUN python -c "from orchestration.project import manifest_path; manifest_path()"

CMD ["driftline", "--help"]

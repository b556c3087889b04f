# The service without its embedded database; docker-compose.yml gives it one. With
# `--build-arg CACHE=cache` it has the client of Redis, with `--build-arg S3=s3` that of S3, with
# `--build-arg METRICS=metrics` that of Prometheus.
FROM python:3.11-slim AS build
ARG CACHE=""
ARG S3=""
ARG METRICS=""
COPY backend/locks /tmp/locks
RUN python -m venv /opt/venv && for lock in core $CACHE $S3 $METRICS; do \
    /opt/venv/bin/python -m pip install --no-cache-dir --require-hashes -r "/tmp/locks/$lock.txt" || exit; \
    done

FROM python:3.11-slim
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv
COPY backend/alembic backend/alembic
COPY backend/app backend/app
# A new named volume takes over the owner and mode of the folder it is mounted on.
RUN useradd --system --uid 10001 --no-create-home image-host \
 && install -d -o image-host -m 0700 /data \
 && /opt/venv/bin/python -m compileall -q backend
ENV PYTHONPATH=backend HOST=0.0.0.0 DATA_DIR=/data
USER image-host
VOLUME /data
EXPOSE 8000
CMD ["/opt/venv/bin/python", "-m", "app"]

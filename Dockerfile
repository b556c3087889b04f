# The service without its embedded database; docker-compose.yml gives it one. With
# `--build-arg LOCK=cache` it has the client of Redis, too.
FROM python:3.11-slim AS build
ARG LOCK=core
COPY backend/locks/${LOCK}.txt /tmp/lock.txt
RUN python -m venv /opt/venv \
 && /opt/venv/bin/python -m pip install --no-cache-dir --require-hashes -r /tmp/lock.txt

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

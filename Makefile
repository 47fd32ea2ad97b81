# Everything that a person does here. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help demo up down test lint tempest clients chaos guest images bench lock clean

# Python that may not write byte code compiles Keystone and Glance again at every start.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
SET_UP := .venv/set-up
# tempest's own environment: its dependencies and ours never meet.
TEMPEST := build/tempest
CLOUD := $(if $(STATE),--state "$(STATE)") $(if $(PORT_OFFSET),--port-offset "$(PORT_OFFSET)")

help:
	@echo 'make demo     a cloud in a temporary directory: plan, rebuild, restore and undo, each proved'
	@echo 'make up       a cloud in STATE=dir, in the foreground; PORT_OFFSET=n moves every port by n'
	@echo 'make down     end the cloud in STATE=dir, its servers included'
	@echo 'make test     unit, functional and conformance tests; TESTS=path picks some'
	@echo 'make lint     ruff and mypy'
	@echo 'make tempest  the 81 tests of DefCore, then those of the rebuild; STATE=dir keeps the cloud'
	@echo 'make chaos    every fault in every step of a rebuild, then kills at random: SEED=n, METHOD=respawn'
	@echo 'make clients  clients of other makes, each through a server'"'"'s life; STATE=dir keeps the cloud'
	@echo 'make guest    as root: log in to a Debian server, rebuild it, log in again, undo; every step proved'
	@echo 'make images   build the two small Linux images of the demo into IMAGES=dir (default build/images)'
	@echo 'make bench    measure a cloud, and bare QEMU beside it, against the goals: ROWS=words, QUICK=1'
	@echo 'make lock     write the locks again; remove them first to get newer versions'
	@echo 'make clean    remove .venv and what tools left; no cloud is touched'
	@echo 'Everything that is missing is installed first, into .venv and, on Debian as root, by apt.'

$(SET_UP): requirements.lock requirements-uv.lock pyproject.toml tools/setup tools/need
	@tools/setup
	@touch $@

demo: $(SET_UP)
	@$(BIN)/renova demo $(CLOUD)

up: $(SET_UP)
	@$(BIN)/renova up $(CLOUD)

down: $(SET_UP)
	@$(BIN)/renova down $(CLOUD)

test: $(SET_UP)
	@$(BIN)/pytest -n auto --dist worksteal $(TESTS)

lint: $(SET_UP)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

guest: $(SET_UP)
	@[ "$$(id -u)" != 0 ] || tools/need mmdebstrap=mmdebstrap ssh=openssh-client
	@$(BIN)/python -m proof $(CLOUD)

images: $(SET_UP)
	@$(BIN)/renova guest --out $(or $(IMAGES),build/images)

bench: $(SET_UP)
	@$(BIN)/python -m bench.run $(if $(ROWS),--rows "$(ROWS)") $(if $(QUICK),--quick)

tempest: $(TEMPEST)/set-up
	@$(BIN)/python -m tempest.run --programs $(TEMPEST)/bin $(CLOUD)

$(TEMPEST)/set-up: requirements-tempest.lock | $(SET_UP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(TEMPEST)
	@$(BIN)/uv pip install --quiet --python $(TEMPEST) --require-hashes -r requirements-tempest.lock
	@touch $@

chaos: $(SET_UP)
	@$(BIN)/python -m chaos.run $(CLOUD) $(if $(SEED),--seed $(SEED)) \
	    $(if $(SECONDS_RANDOM),--seconds-random $(SECONDS_RANDOM)) $(if $(CELLS),--cells "$(CELLS)") \
	    $(if $(METHOD),--method $(METHOD))

clients: $(SET_UP)
	@clients/setup
	@$(BIN)/python -m clients.run $(CLOUD)

lock: $(SET_UP)
	@echo uv | $(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --python-version 3.11 \
	    --custom-compile-command 'make lock' --output-file requirements-uv.lock -
	@echo tempest==47.0.0 | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate \
	    --python-version 3.11 --custom-compile-command 'make lock' --output-file requirements-tempest.lock -
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras \
	    --custom-compile-command 'make lock' --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv build dist *.egg-info .hypothesis .mypy_cache .ruff_cache .pytest_cache
	find renova tests bench chaos clients tempest -name __pycache__ -prune -exec rm -rf {} +

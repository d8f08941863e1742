# make demo: from raw shopping logs to gRPC answers. make test: the tests. Both install what they need first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# cpu or gpu: which FAISS to install. The two must never be installed together.
FAISS ?= cpu
PORT ?= 50051
DEMO := artifacts/runs/demo

.PHONY: demo test lint format proto clean help

help:
	@sed -n 's/^# make/make/p' Makefile

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "twotower needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/demo.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[$(FAISS),demo]'
	touch $@

$(VENV)/dev.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[$(FAISS),demo,dev]'
	touch $@ $(VENV)/demo.installed

demo: $(VENV)/demo.installed
	rm -rf $(DEMO)
	$(BIN)/python -m data_prep source=completejourney
	$(BIN)/python -m towers.train run=demo experiment=demo
	$(BIN)/python -m towers.train_funnel run=$(DEMO)
	$(BIN)/python -m towers.train_ranker run=$(DEMO) trainer.epochs=1 \
	  mining.max_groups=1000 mining.negatives=7 mining.max_held_out=400
	$(BIN)/python -m towers.evaluate run=$(DEMO)
	$(BIN)/python -m index.build run=$(DEMO)
	$(BIN)/python -m retrieval_server port=$(PORT) & server=$$!; \
	trap 'kill $$server; wait $$server' EXIT; \
	$(BIN)/python -m retrieval_server.client health --wait 60 --address 127.0.0.1:$(PORT) && \
	kill -0 $$server && \
	$(BIN)/python -m retrieval_server.client.tour --address 127.0.0.1:$(PORT)

test: $(VENV)/dev.installed
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/dev.installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

proto: $(VENV)/dev.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I. \
	  -I"$$($(BIN)/python -c 'import google.rpc, pathlib; print(pathlib.Path(google.rpc.__path__[0]).parents[1])')" \
	  --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. retrieval_server/retrieval/v1/*.proto

clean:
	rm -rf $(VENV) artifacts

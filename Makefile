# The commands of this repository. Set-up steps leave a stamp and are skipped while nothing changed.
.PHONY: run test setup lint clean bench
SHELL := /bin/bash
PYTHON ?= $(shell command -v /usr/bin/python3 || command -v python3)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMPS := .stamps

setup: $(STAMPS)/editable

$(STAMPS)/venv: pyproject.toml
	@mkdir -p $(STAMPS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/pip install -q $$($(BIN)/python -c "import tomllib; p=tomllib.load(open('pyproject.toml','rb')); print(*[f'\"{r}\"' if 0 else r.replace(' ','') for r in p['build-system']['requires']+p['project']['dependencies']+p['dependency-groups']['dev']])")
	@touch $@

$(STAMPS)/editable: $(STAMPS)/venv meson.build $(wildcard kernels/meson.build kernels/*/meson.build) appliance/meson.build appliance/api/srtpgw/v1/meson.build firmware_iface/meson.build
	source $(BIN)/activate && $(BIN)/pip install -q --no-build-isolation --no-deps -Cbuild-dir=build/editable -e .
	@touch $@

# Side by side with rtpengine, figures into bench-results/; needs a quiet machine. ARGS=--quick only proves that it runs.
bench: setup
	source $(BIN)/activate && python -m tests.bench $(ARGS)

clean:
	rm -rf $(STAMPS) build $(VENV)

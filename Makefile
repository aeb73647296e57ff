# The commands of this repository. Each step of the set-up leaves a stamp named by the content it depends on, so that
# the second time costs nothing and a changed file costs only its own step.
#
#   make run     set up, start the whole gateway here, place one demonstration call, stay up
#   make test    set up, run every test but the long ones
#   make test-long  those: further peers and rounds, waits of half a minute
#   make test-negotiation  the tests of SRTP, suites, SDES, SDP and policy, with a table: requirement row, tests, result
#   make test-edge  the tests of the SIP edge (rows I to P), with the same table
#   make load    ARGS=storm|flood|overload: call storm beside Kamailio with rtpengine, a flood from forged sources, overload
#   make fuzz    damaged messages against every parser of network octets (ARGS="sdp --inputs 20000 --seed 7")
#   make test-asan  malformed datagrams against the compiled modules under AddressSanitizer and UBSan
#   make lint    ruff, mypy --strict, cython-lint
#   make bench   this gateway beside rtpengine and libsrtp, tables into bench-results/ (ARGS=--quick proves that it runs,
#                ARGS="--tables crypto gateway" and ARGS="--only rtpengine udp" choose)
.PHONY: run test test-long test-negotiation test-edge load fuzz setup packages lint test-asan bench clean
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= $(or $(wildcard /usr/bin/python3),$(shell command -v python3))
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMPS := .stamps
ARGS ?=
BUILD := $(CURDIR)/build/editable
# An editable import rebuilds what changed, with the tools on PATH. `setup` does it beforehand, so that the many
# processes of a run find nothing to do.
export PATH := $(BIN):$(PATH)

digest = $(shell cat $(1) 2>/dev/null | sha256sum | cut -c1-16)
BUILD_FILES := pyproject.toml meson.build $(shell find kernels appliance firmware_iface -name meson.build | sort)
VENV_STAMP := $(STAMPS)/venv-$(call digest,pyproject.toml images/setup/requirements.py)
BUILD_STAMP := $(STAMPS)/build-$(call digest,$(BUILD_FILES))

run: packages setup
	exec $(BIN)/srtpgw up --demo $(ARGS)

test: packages-test setup
	$(BIN)/python -m pytest $(ARGS)

# What is too long for `make test`: more peers, more rounds, waits of half a minute.
test-long: packages-test setup
	$(BIN)/python -m pytest -m long $(ARGS)

# ARGS="--rows C,SDES" chooses families of rows.
test-negotiation: packages-test setup
	$(BIN)/python -m pytest -q -p tests.rows --rows A,B,C,D,G,H,SDP,SDES,DTLS,ICE $(ARGS)

test-edge: packages-test setup
	$(BIN)/python -m pytest -q -p tests.rows --rows I,J,K,L,M,N,O,P $(ARGS)

# Load on the SIP edge: ARGS=storm, "flood --seconds 90", overload. Takes the machine for itself.
load: packages-test setup
	$(BIN)/python -m tests.load $(ARGS)

# 10^6 inputs for each parser, or as many as ten minutes of CPU allow; what it finds is kept in build/fuzz.
fuzz: packages-test setup
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install -q --disable-pip-version-check \
		--only-binary :all: 'atheris>=3' || true
	$(BIN)/python -m tests.fuzz $(ARGS)

# The editable loader reads byte code and never writes it: without this each of the hundreds of processes that the tests
# start would compile all of ours.
setup: $(BUILD_STAMP)
	@$(BIN)/ninja --quiet -C $(BUILD)
	@$(BIN)/python -m compileall -q appliance kernels firmware_iface $(BUILD)

.PHONY: packages-test python
.NOTPARALLEL:
# On the barest machine not even Python is there; everything after this line may use it.
python:
	@if [ -z "$(PYTHON)" ] && [ "$$(id -u)" = 0 ]; then apt-get -qq update && apt-get -qq install -y python3; fi
	@$(or $(PYTHON),/usr/bin/python3) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'

packages: python
	@$(or $(PYTHON),/usr/bin/python3) images/setup/packages.py build run

packages-test: python
	@$(or $(PYTHON),/usr/bin/python3) images/setup/packages.py build run test

$(VENV_STAMP):
	@mkdir -p $(STAMPS); rm -f $(STAMPS)/venv-*
	test -x $(BIN)/python || $(or $(PYTHON),/usr/bin/python3) -m venv $(VENV)
	$(BIN)/python images/setup/requirements.py > $(STAMPS)/requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -r $(STAMPS)/requirements.txt
	@touch $@

# An editable install: afterwards an import rebuilds whatever changed.
$(BUILD_STAMP): $(VENV_STAMP)
	@mkdir -p $(STAMPS); rm -f $(STAMPS)/build-*
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps \
		--config-settings=build-dir=$(BUILD) -e .
	@touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/cython-lint kernels appliance

# Side by side with rtpengine, figures into bench-results/; needs a quiet machine. ARGS=--quick only proves that it runs.
bench: packages-test setup
	$(BIN)/python -m tests.bench $(ARGS)

# The compiled modules once more, instrumented, in a tree of their own; the editable ones stay as they are. Python itself is
# not instrumented, hence the preload. MESONPY_EDITABLE_SKIP keeps the editable modules (and a rebuild) out.
ASAN := $(CURDIR)/build/asan
ASAN_SITE := $(ASAN)/tree/site
test-asan: setup
	test -f $(ASAN)/build.ninja || $(BIN)/meson setup $(ASAN) --prefix=/ -Dpython.platlibdir=/site -Dpython.purelibdir=/site \
		-Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false > /dev/null
	$(BIN)/ninja --quiet -C $(ASAN)
	rm -rf $(ASAN)/tree && DESTDIR=$(ASAN)/tree $(BIN)/meson install --quiet --no-rebuild -C $(ASAN) > /dev/null
	ln -s $(CURDIR)/tests $(CURDIR)/pyproject.toml $(ASAN_SITE)/
	cd $(ASAN_SITE) && SRTPGW_SANITIZED=$(ASAN_SITE) MESONPY_EDITABLE_SKIP=$(BUILD) PYTHONMALLOC=malloc \
		LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		$(BIN)/python -m pytest -p no:cacheprovider -m malformed tests/kernels $(ARGS)

clean:
	rm -rf $(STAMPS) build $(VENV)

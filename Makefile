# deepc, from a clean checkout. Needs a C compiler and Python 3.11 or newer with venv; all else (CMake, Ninja,
# pytest, ...) is installed from PyPI into .venv. Nothing is written outside this folder but pip's cache.
#
#   make demo         train the book's networks and draw what they learned, into demo-output/
#   make test         the C tests, then the Python tests
#   make test-<name>  the C tests on another platform, cross-compiled and emulated: aarch64 riscv64 s390x ppc64le armhf
#                     i386 musl windows wasm; macos-build compiles only; pythons: the wheel on other Pythons
#   make test-platforms  all of these
#   make test-export  exported networks with every compiler, option and simulated processor that is installed
#   make test-keras   the programs of Keras' users with deepc and with Keras itself, in an environment of its own
#   make test-torch   the programs of torch's and Lightning's users with deepc and with theirs, likewise
#   make sanitize     the C tests under AddressSanitizer and UndefinedBehaviorSanitizer; CC=clang: under clang's
#   make accuracy     exp, log and every activation over every float32 (three hours of CPU); ACCURACY_ARGS names some
#   make bench        the C benchmarks; BENCH_ARGS="--filter 64" and so on are passed on
#   make compare      deepc beside NumPy, SciPy, PyTorch, JAX, ... in an environment of its own
#   make lint         style and types;  make format  mends the style;  make review  what repository linters think
#   make wheel        wheel and sdist, into dist/
#   make clean        removes what was built;  make distclean  the environments too

PYTHON ?= python3
ACCURACY_ARGS ?=
BENCH_ARGS ?=
COMPARE_ARGS ?=
DEMO_ARGS ?=
PYTEST_ARGS ?=

VENV := .venv
COMPARE_VENV := .venv-compare
KERAS_VENV := .venv-keras
TORCH_VENV := .venv-torch
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

C_FILES = $(wildcard csrc/*.[ch] csrc/*/*.[ch] csrc/*/*/*.[ch] tests/c/*.[ch] bench/*.[ch] examples/*.[ch])

.DELETE_ON_ERROR:
.PHONY: demo test test-c test-python test-export test-keras test-torch sanitize accuracy bench compare lint review format wheel clean distclean help

help:
	@sed -n 's/^#   //p' Makefile

# ---- Environments ----------------------------------------------------------------------------------

# The lines of pyproject.toml that name what is needed to build, to run, or for the extra or group of that name.
requirements = python -c 'import sys, tomllib; \
	file = tomllib.load(open("pyproject.toml", "rb")); project = file["project"]; \
	named = {"build": file["build-system"]["requires"] + ["cmake", "ninja"], \
	         "run": project["dependencies"], **project["optional-dependencies"], \
	         **file["dependency-groups"]}; \
	print(*(line for name in sys.argv[1:] for line in named[name]), sep="\n")'

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "deepc needs Python 3.11 or newer, and $(PYTHON) is not: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.requirements: pyproject.toml $(VENV)/.made
	$(requirements) build run demo test > $(VENV)/requirements.txt
	python -m pip install --quiet --requirement $(VENV)/requirements.txt
	touch $@

$(VENV)/.tools: $(VENV)/.requirements
	$(requirements) dev > $(VENV)/tools.txt
	python -m pip install --quiet --requirement $(VENV)/tools.txt
	touch $@

# An editable install that rebuilds its C at import, so every target sees the sources as they are. Without
# isolation, because a rebuild needs the build's own requirements at hand.
# An editable install lists the modules that there are; a folder is newer when one came, went or moved.
build/.installed: pyproject.toml $(VENV)/.requirements $(sort $(dir $(wildcard python/deepc/*.py python/deepc/*/*.py)))
	python -m pip install --quiet --no-build-isolation --no-deps \
		--config-settings=editable.rebuild=true --config-settings=editable.verbose=false --editable .
	touch $@

# ---- The C side ------------------------------------------------------------------------------------

build/c/build.ninja: $(VENV)/.requirements
	cmake -S . -B build/c -G Ninja
	touch $@

# A folder for each compiler: each has checks that the other lacks.
SANITIZE := build/sanitize-$(notdir $(firstword $(CC)))

$(SANITIZE)/build.ninja: $(VENV)/.requirements
	cmake -S . -B $(SANITIZE) -G Ninja -DDEEPC_SANITIZE=address,undefined,float-cast-overflow -DDEEPC_WERROR=ON
	touch $@

test-c: build/c/build.ninja
	cmake --build build/c
	ctest --test-dir build/c --output-on-failure --parallel 2

# What is cross-compiled and emulated: each installs what it needs, or says that it skips.
PLATFORMS := aarch64 riscv64 s390x ppc64le armhf i386 musl windows wasm
.PHONY: $(PLATFORMS:%=test-%) test-macos-build test-pythons test-platforms

$(PLATFORMS:%=test-%): test-%: $(VENV)/.requirements
	python scripts/test_platform.py $*

test-macos-build: $(VENV)/.requirements
	python scripts/test_platform.py macos-arm64 macos-x86_64

# The wheel on every Python that can be had, with the oldest NumPy and the newest.
test-pythons: $(VENV)/.tools
	python scripts/test_pythons.py

test-platforms: $(VENV)/.requirements
	python scripts/test_platform.py all
	$(MAKE) test-pythons

sanitize: $(SANITIZE)/build.ninja
	cmake --build $(SANITIZE)
	ctest --test-dir $(SANITIZE) --output-on-failure --parallel 2

accuracy: build/c/build.ninja
	cmake --build build/c --target exhaustive_math
	names="$(ACCURACY_ARGS)"; echo $${names:-$$(build/c/tests/exhaustive_math --list)} | \
		xargs -n 1 -P "$$(nproc || sysctl -n hw.ncpu)" build/c/tests/exhaustive_math

bench: build/c/build.ninja
	cmake --build build/c
	@for program in build/c/bench/bench_*; do \
		echo "== $$(basename $$program) $(BENCH_ARGS)"; $$program $(BENCH_ARGS) || exit 1; done

# ---- The Python side -------------------------------------------------------------------------------

demo: build/.installed
	python -m deepc demo --output demo-output $(DEMO_ARGS)

test: test-c test-python

test-python: build/.installed
	python -m pytest $(PYTEST_ARGS)

# What is not installed is skipped; an hour or so where all is.
test-export: build/.installed
	DEEPC_EXPORT=full python -m pytest --timeout 3600 tests/test_export_c.py

$(KERAS_VENV)/.made: pyproject.toml $(VENV)/.requirements
	$(PYTHON) -m venv $(KERAS_VENV)
	$(requirements) keras > $(KERAS_VENV)/requirements.txt
	$(KERAS_VENV)/bin/python -m pip install --quiet --requirement $(KERAS_VENV)/requirements.txt
	touch $@

test-keras: build/.installed $(KERAS_VENV)/.made
	KERAS_PYTHON=$(CURDIR)/$(KERAS_VENV)/bin/python python -m pytest tests/test_keras_beside.py $(PYTEST_ARGS)

$(TORCH_VENV)/.made: pyproject.toml $(VENV)/.requirements
	$(PYTHON) -m venv $(TORCH_VENV)
	$(requirements) torch > $(TORCH_VENV)/requirements.txt
	$(TORCH_VENV)/bin/python -m pip install --quiet --requirement $(TORCH_VENV)/requirements.txt
	touch $@

test-torch: build/.installed $(TORCH_VENV)/.made
	TORCH_PYTHON=$(CURDIR)/$(TORCH_VENV)/bin/python LIGHTNING_PYTHON=$(CURDIR)/$(TORCH_VENV)/bin/python \
	    python -m pytest tests/test_torch_beside.py tests/test_lightning_beside.py $(PYTEST_ARGS)

$(COMPARE_VENV)/.made: pyproject.toml $(VENV)/.requirements
	$(PYTHON) -m venv $(COMPARE_VENV)
	$(requirements) compare > $(COMPARE_VENV)/requirements.txt
	$(COMPARE_VENV)/bin/python -m pip install --quiet --requirement $(COMPARE_VENV)/requirements.txt
	touch $@

# A plain install: what is measured is what a user gets.
compare: $(COMPARE_VENV)/.made
	$(COMPARE_VENV)/bin/python -m pip install --quiet .
	$(COMPARE_VENV)/bin/python bench/compare.py $(COMPARE_ARGS)

# ---- Style, types, packages ------------------------------------------------------------------------

lint: $(VENV)/.tools
	ruff check .
	ruff format --check .
	mypy
	mypy tests/typed_calls.py
	clang-format --dry-run -Werror $(C_FILES)
	check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	actionlint
	zizmor --quiet --offline --persona auditor .github
	check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff

# What others think of the repository; opinions, so it never fails. CONTRIBUTING.md answers those that are not followed.
review: $(VENV)/.tools
	-sp-repo-review .
	-pyroma .

format: $(VENV)/.tools
	ruff check --fix-only .
	ruff format .
	clang-format -i $(C_FILES)

wheel: $(VENV)/.tools
	rm -rf dist
	python -m build --quiet --outdir dist

clean:
	rm -rf build dist demo-output compare-output .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(COMPARE_VENV) $(KERAS_VENV) $(TORCH_VENV)

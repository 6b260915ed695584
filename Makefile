# Every target sets up what it needs. PROFILE=, RUN= and the inputs below can be given on the command line.
PYTHON  ?= python3
VENV    ?= .venv
PROFILE ?= local
RUN     ?= runs/$(PROFILE)

INPUT  ?=
POOL   ?= human
STAGE  ?=
MODEL  ?= $(RUN)/model
IMAGE  ?=
AUDIO  ?=
PROMPT ?= A person talks to the camera.
OUT    ?= $(RUN)/generated/video.mp4
ARGS   ?=
# Encoding takes the profile's model unless MODEL= is given: RUN/model is what training makes of its latents.
ENCODERS := $(if $(filter-out file,$(origin MODEL)),--model "$$MODEL")
# The recipes read these from the environment, where quotes in a prompt do no harm.
export MODEL IMAGE AUDIO PROMPT OUT

PY        := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help env check format test test-slow curate report encode generate clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 14
	@echo "Variables: PROFILE=$(PROFILE) RUN=$(RUN) ARGS= (further options of the command behind the target)"

env: $(INSTALLED) ## Build the Python environment (.venv)

$(INSTALLED): pyproject.toml infra/environments/local.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Soul needs Python 3.11 or newer, $(PYTHON) is {v.major}.{v.minor}: set PYTHON=")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing Soul and its pinned dependencies into $(VENV) (about 5 minutes the first time) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check -c infra/environments/local.txt -e '.[dev]'
	@# rapidocr asks for opencv-python, which needs libGL; the headless build is the same module without it.
	@$(PY) -m pip uninstall --quiet --yes opencv-python
	@$(PY) -m pip install --quiet --disable-pip-version-check -c infra/environments/local.txt --no-deps --force-reinstall opencv-python-headless
	@touch $@

check: $(INSTALLED) ## Format, lint and type checks
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(INSTALLED) ## Apply the formatter and the safe lint fixes
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

test: $(INSTALLED) ## Run the tests (minutes)
	$(PY) -m pytest -m "not slow and not gpu and not network"

test-slow: $(INSTALLED) ## Run the long tests (kill rounds, damaged inputs)
	$(PY) -m pytest -m "slow and not gpu and not network"

curate: $(INSTALLED) ## Curate INPUT= (default: a sample bucket made on the spot) into RUN=; POOL=human|general
	$(PY) -m curation run $(if $(INPUT),"$(INPUT)") --run "$(RUN)" --profile $(PROFILE) --pool $(POOL) $(ARGS)

report: $(INSTALLED) ## Write RUN/report.html again
	$(PY) -m curation report --run "$(RUN)"

encode: $(INSTALLED) ## Encode the curated shards of RUN= for STAGE=720p|1080p (MODEL=: default the profile's)
	@test -n "$(STAGE)" || { echo "give STAGE=720p or STAGE=1080p" >&2; exit 2; }
	$(PY) -m curation encode --run "$(RUN)" --stage "$(STAGE)" --profile $(PROFILE) $(ENCODERS) $(ARGS)

generate: $(INSTALLED) ## Make a video: IMAGE= AUDIO= PROMPT= OUT= (MODEL=tiny: random weights)
	@test -n "$$IMAGE" -a -n "$$AUDIO" || { echo "give IMAGE= and AUDIO= (and MODEL=, PROMPT=, OUT=)" >&2; exit 2; }
	@mkdir -p "$$(dirname "$$OUT")"
	$(PY) -m model generate --model "$$MODEL" --image "$$IMAGE" --audio "$$AUDIO" --prompt "$$PROMPT" --out "$$OUT" $(ARGS)

clean: ## Remove caches (environment and runs stay)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Every target sets up what it needs. PROFILE=, RUN= and the inputs below can be given on the command line.
PYTHON  ?= python3
VENV    ?= .venv
PROFILE ?= local
INPUT   ?=
# The sample bucket is curated into runs/sample, your own videos into runs/PROFILE. What comes after goes on with yours,
# or with the sample where there are none yet. The commands choose alike where no --run is given (infra.default_run).
OWN_RUN = runs/$(basename $(notdir $(PROFILE)))
SAMPLE_ONLY = $(and $(filter local,$(PROFILE)),$(if $(wildcard $(OWN_RUN)/shards/),,yes),$(wildcard runs/sample/shards/))
ifeq ($(filter curate,$(MAKECMDGOALS)),curate)
RUN     ?= $(if $(INPUT),$(OWN_RUN),runs/sample)
else ifeq ($(filter demo,$(MAKECMDGOALS)),demo)
RUN     ?= runs/sample
else
RUN     ?= $(if $(SAMPLE_ONLY),runs/sample,$(OWN_RUN))
endif

POOL   ?= human
STAGE  ?=
MODEL  ?= $(RUN)/model
IMAGE  ?=
AUDIO  ?=
PROMPT ?=
OUT    ?= $(RUN)/generated/video.mp4
SAMPLES ?=
VIDEOS  ?=
ARGS   ?=
GPUS   ?= 1
# Encoding and training begin with the profile's model unless MODEL= is given: RUN/model is what they lead to.
GIVEN_MODEL := $(if $(filter-out file,$(origin MODEL)),--model "$$MODEL")
# Without the --, torchrun takes --run for the beginning of its own --run-path, and stops.
# Launchers give processes 30 s to save and stop, unless told otherwise. (PyTorch 2.11 and older always do.)
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT ?= 900
TORCHRUN = torch.distributed.run --standalone --nproc-per-node=$(GPUS) -m --
LAUNCH = $(PY) -m $(if $(filter-out 1,$(GPUS)),$(TORCHRUN) )
# What makes videos needs a model, and says so before anything is loaded.
TRAINED = test "$(origin MODEL)" != file -o -e "$$MODEL" || \
	{ echo "soul: $$MODEL is not there: train first (make train STAGE=720p), or MODEL=pretrained" >&2; exit 2; }
# Who speaks in `make generate`: the model of MODEL= or of the run, where there is a portrait for it, else the network that
# comes with Soul.
SPEAKER = $(if $(or $(filter-out file,$(origin MODEL)),$(and $(IMAGE),$(wildcard $(MODEL)))),$$MODEL,pretrained)
# The recipes read these from the environment, where quotes in a prompt do no harm.
export MODEL IMAGE AUDIO PROMPT OUT

PY        := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
CURATES   := $(VENV)/.curates
STUDIO    := $(VENV)/.studio
PIP        = $(PY) -m pip --quiet --disable-pip-version-check

# What VENV is for: the CPU, or NVIDIA GPUs, where it was built so (make env-train).
DEVICE ?= $(if $(wildcard $(VENV)/.cuda),cuda,cpu)
CURATION_PINS = infra/environments/curation.txt
STUDIO_PINS   = infra/environments/studio.txt
PINS    = infra/environments/$(if $(filter cuda,$(DEVICE)),train-cuda,local).txt

# Curating has far fewer packages than training, which joins them in the same environment when it is first needed. A
# profile of production models may use those in curation, too.
FOR_CURATION = $(if $(or $(filter-out local,$(PROFILE)),$(wildcard $(INSTALLED))),$(INSTALLED),$(CURATES))

# rapidocr asks for opencv-python, which needs libGL; the headless build is the same module without it. silero-vad asks
# for torchaudio, which its weights do not need.
define INSTALL_cpu
$(PIP) install -c $(PINS) -e '.[dev]' && \
$(PIP) uninstall --yes opencv-python && \
$(PIP) install -c $(PINS) --no-deps --force-reinstall opencv-python-headless && \
$(PIP) install -c $(PINS) --no-deps silero-vad
endef
# All that is needed is in the file.
define INSTALL_cuda
$(PY) -c 'import sys; v = sys.version_info; v < (3, 13) or sys.exit(f"soul: the versions are pinned for Python 3.11 and 3.12, $(PYTHON) is {v.major}.{v.minor}: set PYTHON=")' && \
DS_BUILD_OPS=0 $(PIP) install --no-deps -r $(PINS) && \
$(PIP) install --no-deps -e . && \
touch $(VENV)/.cuda
endef

# Environments of production models, each apart from the others, since their packages clash. They lie in
# SOUL_ENVIRONMENTS/NAME where that is set (on a cluster: one path that every node has), else in .venv-NAME.
MODEL_ENVIRONMENTS = env-core env-vllm env-paddle env-finevq
ENVIRONMENT  = $(if $(SOUL_ENVIRONMENTS),$(SOUL_ENVIRONMENTS)/$*,$(CURDIR)/.venv-$*)
MODEL_PINS   = infra/environments/$*-$(DEVICE).txt

.DEFAULT_GOAL := help
.PHONY: help env env-train $(MODEL_ENVIRONMENTS) check format test test-slow test-production coverage mutants curate \
	serve-models report browse watch encode codebook negatives train generate studio serve bench demo monitor dashboards images \
	test-tools clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 20
	@echo "Variables: PROFILE=$(PROFILE) RUN=$(RUN) ARGS= (further options of the command behind the target)"
	@echo "The same as commands, with more options: $(VENV)/bin/soul --help"

env: $(INSTALLED) ## Build the Python environment (.venv), training's packages included

env-train: ## Build .venv-train for DEVICE=cuda (pinned, compiles nothing) or cpu; then make train VENV=.venv-train
	@test "$(DEVICE)" = cuda -o "$(DEVICE)" = cpu || { echo "soul: give DEVICE=cuda or DEVICE=cpu" >&2; exit 2; }
	@$(MAKE) --no-print-directory env VENV=.venv-train DEVICE=$(DEVICE)

env-core: ## Build the environment of curation's own actors (cuda; for cpu a copy of .venv)
env-vllm: ## Build that of vLLM, which serves Qwen3-VL and Qwen2.5-VL (DEVICE=cuda or cpu, as for the others)
env-paddle: ## Build that of PaddleOCR, whose actors find text
env-finevq: ## Build that of FineVQ's own code, for its server
# Begun anew each time: what an older list had installed must not stay. `.installed` holds the list that was installed.
$(MODEL_ENVIRONMENTS): env-%:
	@test "$(DEVICE)" = cuda -o "$(DEVICE)" = cpu || { echo "soul: give DEVICE=cuda or DEVICE=cpu" >&2; exit 2; }
	@if test $*-$(DEVICE) = core-cpu; then \
		$(MAKE) --no-print-directory env VENV="$(ENVIRONMENT)" DEVICE=cpu; \
	elif cmp -s $(MODEL_PINS) "$(ENVIRONMENT)/.installed"; then \
		echo "$(ENVIRONMENT) is there already, from $(MODEL_PINS)"; \
	else \
		bash infra/environments/build.sh "$(PYTHON)" "$(ENVIRONMENT)" $(MODEL_PINS); \
	fi

define NEW_ENVIRONMENT
@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Soul needs Python 3.11 or newer, $(PYTHON) is {v.major}.{v.minor}: set PYTHON=")'
@test -x $(PY) || $(PYTHON) -m venv $(VENV)
endef
TOOK = echo "$(VENV): $$(($$(date +%s) - began)) s, $$(du -sm "$(VENV)" | awk '{printf "%.1f", $$1 / 1000}') GB"

$(INSTALLED): pyproject.toml $(PINS)
	$(NEW_ENVIRONMENT)
	@echo "Installing Soul and its pinned dependencies into $(VENV) (about 5 minutes the first time) ..."
	@began=$$(date +%s) && $(INSTALL_$(DEVICE)) && $(TOOK)
	@touch $@

# The list is whole, so that nothing is resolved; what is not imported need not be compiled.
$(CURATES): pyproject.toml $(CURATION_PINS)
	$(NEW_ENVIRONMENT)
	@echo "Installing what curating needs into $(VENV) (about a minute, once) ..."
	@began=$$(date +%s) && $(PIP) install --no-deps --no-compile -r $(CURATION_PINS) && $(PIP) install --no-deps -e . && $(TOOK)
	@touch $@

# Gradio and what it alone needs join the environment when the page is first wanted.
$(STUDIO): $(INSTALLED) $(STUDIO_PINS)
	@echo "Installing Gradio, for the studio, into $(VENV) (about half a minute, once) ..."
	@began=$$(date +%s) && $(PIP) install --no-deps -r $(STUDIO_PINS) && $(TOOK)
	@touch $@

check: $(INSTALLED) ## Format, lint and type checks
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(INSTALLED) ## Apply the formatter and the safe lint fixes
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

test: $(INSTALLED) $(STUDIO) ## Run the tests (minutes)
	$(PY) -m pytest -m "not slow and not gpu and not network and not production"

test-tools: ## Install what some tests need besides (Debian, Ubuntu; as root): Prometheus, Slurm, shellcheck; they are skipped without
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus slurm-wlm munge shellcheck

test-slow: $(INSTALLED) ## Run the long tests (kill rounds, damaged inputs)
	$(PY) -m pytest -m "slow and not gpu and not network and not production"

# FineVQ's tests want its own code, too: SOUL_FINEVQ=, the directory of its repository.
test-production: $(INSTALLED) env-vllm env-paddle env-finevq ## Run the tests with real libraries (builds their environments first)
	$(PY) -m pytest -m production tests/production

# Some tests start processes without root's rights, and these write their part of the figures too.
coverage: export COVERAGE_FILE = $(CURDIR)/.coverage/part
coverage: $(INSTALLED) $(STUDIO) ## The tests once more, and which lines and branches none of them reaches
	mkdir -p -m 1777 .coverage
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest -m "not slow and not gpu and not network and not production"
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report --skip-covered --show-missing

mutants: $(INSTALLED) ## Change the rules line by line and see whether a test notices (half an hour or more)
	$(VENV)/bin/mutmut run --max-children 2
	$(VENV)/bin/mutmut results

curate: $(FOR_CURATION) ## Curate INPUT= into RUN= (neither: a sample bucket made on the spot); POOL=human|general
	$(PY) -m curation run $(if $(INPUT),"$(INPUT)") --run "$(RUN)" --profile $(PROFILE) --pool $(POOL) $(ARGS)

serve-models: $(INSTALLED) ## Start the servers of models that PROFILE= asks, and keep them until ctrl-C
	exec $(PY) -m curation serve-models --profile $(PROFILE) $(ARGS)

report: $(FOR_CURATION) ## Write RUN/report.html again
	$(PY) -m curation report --run "$(RUN)"

browse: $(FOR_CURATION) ## Serve a page of the clips of RUN=: search, filter, play (ARGS="--run OTHER" compares), until ctrl-C
	exec $(PY) -m curation browse --run "$(RUN)" $(ARGS)

watch: $(FOR_CURATION) ## Serve a page of how far RUN= is, what becomes of the clips, and what failed, until ctrl-C
	exec $(PY) -m curation watch --run "$(RUN)" $(ARGS)

encode: $(INSTALLED) ## Encode the curated shards of RUN= for STAGE=720p|1080p (MODEL=: default the profile's)
	@test -n "$(STAGE)" || { echo "soul: give STAGE=720p or STAGE=1080p" >&2; exit 2; }
	$(PY) -m curation encode --run "$(RUN)" --stage "$(STAGE)" --profile $(PROFILE) $(GIVEN_MODEL) $(ARGS)

codebook: $(INSTALLED) ## Cluster the encoded latents of RUN= into RUN/codebook.safetensors, with a plot
	$(PY) -m training codebook --run "$(RUN)" $(ARGS)

negatives: $(INSTALLED) ## Add failure cases, made by MODEL= under a negative prompt, to the encoded clips of STAGE=
	@test -n "$(STAGE)" || { echo "soul: give STAGE=720p or STAGE=1080p" >&2; exit 2; }
	@$(TRAINED)
	$(PY) -m training negatives --run "$(RUN)" --stage "$(STAGE)" --model "$$MODEL" $(ARGS)

train: $(INSTALLED) ## Train STAGE=720p|1080p|distill|evae on GPUS= of this machine (MODEL=: default the recipe's start)
	@test -n "$(STAGE)" || { echo "soul: give STAGE=720p, 1080p, distill or evae" >&2; exit 2; }
	@# make sends SIGTERM on to what it started itself: without exec to a shell, and the training would never hear of it.
	exec $(LAUNCH)training run --stage "$(STAGE)" --run "$(RUN)" --profile $(PROFILE) $(GIVEN_MODEL) $(ARGS)

generate: $(INSTALLED) ## Make a video: IMAGE= AUDIO= PROMPT= MODEL= OUT=; with none of them, a drawn face speaks
	@mkdir -p "$$(dirname "$$OUT")"
	$(PY) -m model generate --model "$(SPEAKER)" $(if $(IMAGE),--image "$$IMAGE") $(if $(AUDIO),--audio "$$AUDIO") \
		$(if $(PROMPT),--prompt "$$PROMPT") --out "$$OUT" $(ARGS)

studio: $(STUDIO) ## Open a page on this machine on which MODEL= makes videos (default: the network that comes with Soul)
	exec $(PY) -m serving studio $(GIVEN_MODEL) $(ARGS)

serve: $(INSTALLED) ## Serve MODEL= over HTTP at 127.0.0.1:8000 until ctrl-C (default: the network that comes with Soul)
	exec $(PY) -m serving serve $(GIVEN_MODEL) $(ARGS)

BENCH = $(RUN)/bench
bench: $(INSTALLED) ## Score MODEL= on SAMPLES= (default: clips of RUN=) beside VIDEOS="NAME=DIR ...": RUN/bench/report.html
	@$(TRAINED)
	$(if $(SAMPLES),,$(PY) -m bench samples --run "$(RUN)" --out "$(BENCH)/samples")
	$(PY) -m bench generate --model "$$MODEL" --samples "$(or $(SAMPLES),$(BENCH)/samples)" --out "$(BENCH)/videos/soul"
	$(PY) -m bench evaluate --samples "$(or $(SAMPLES),$(BENCH)/samples)" --out "$(BENCH)" \
		--videos soul="$(BENCH)/videos/soul" $(if $(SAMPLES),,real="$(BENCH)/samples/real") $(VIDEOS) $(ARGS)

# The network has four minutes: it learns one person from one video.
PORTRAIT = data.sources=['*/talking_portrait.*'] data.held_out_fraction=0 steps=300
demo: $(INSTALLED) ## The whole way on the sample bucket, ten minutes on two cores: curate, encode, train; its portrait speaks
	$(PY) -m curation run --run "$(RUN)"
	$(PY) -m curation encode --run "$(RUN)" --stage 720p
	$(PY) -m training codebook --run "$(RUN)"
	$(PY) -m training run --run "$(RUN)" --stage 720p $(foreach setting,$(PORTRAIT),--set "$(setting)")
	$(PY) -m bench.studies.portrait_lips --model "$(RUN)/model" --out "$(RUN)/demo"

monitor: $(FOR_CURATION) ## Watch this machine: Prometheus, and Grafana where it is installed, until ctrl-C
	exec $(PY) -m infra.monitoring run $(ARGS)

IMAGES ?= $(if $(filter cuda,$(DEVICE)),core paddle vllm finevq train,core paddle)
images: ## Build container images for DEVICE=cpu or cuda, IMAGES="core paddle vllm finevq train" or some of them
	@for image in $(IMAGES); do \
		docker build -f infra/images/Dockerfile --target $$image --build-arg DEVICE=$(DEVICE) \
			$(if $(PIP_EXTRA_INDEX_URL),--build-arg PIP_EXTRA_INDEX_URL="$(PIP_EXTRA_INDEX_URL)") \
			--label org.opencontainers.image.revision=$$(git rev-parse HEAD) -t soul-$$image:$(DEVICE) . || exit 1; \
	done

dashboards: $(INSTALLED) ## Write Grafana's boards and the alert rules for Kubernetes again (infra/monitoring)
	$(PY) -m infra.monitoring boards $(ARGS)

clean: ## Remove caches (environment and runs stay)
	rm -rf mutants .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis

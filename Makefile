# `make` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
SEED ?= 1
SEEDS ?= 1 2 3
DATA ?= ../shared/data
BACKBONE ?= miniature
DATA_FOLDER ?= data
PORT ?= 7860
KILLS ?= 100
SETS ?= 20
USERS ?= 50
INPUTS ?= 20000
MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: help install demo demo-seeds miniature-score picture-score scene-score character-score taste-score learning-score lora-formats ip-adapter-sweep full-size faults load overhead bench bench-check fuzz touch studio test test-browser test-browser-short test-fast check lint types imports format miniature clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 18

$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): some minutes and 2.5 GB the first time, more with CUDA."
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@# gradio asks for pillow<13, but 13.0.0 mends critical JPEG overflows and works with it (GHSA-8g5g-8vmr-9782).
	$(BIN)/python -m pip install --quiet --no-deps "pillow==13.0.0"
	touch $@

install: $(VENV)/installed ## create .venv and install everything, nothing else

demo: install ## the main job, headless: a new person, nine posts, one bundle [OUT=out SEED=1 BACKBONE=miniature]
	$(BIN)/python -m benchmarks.main_job --out $(OUT) --seed $(SEED) --backbone $(BACKBONE)

demo-seeds: install ## the main job on three seeds, averaged and judged against the demands [OUT=out SEEDS="1 2 3"]
	$(BIN)/python -m benchmarks.seeds --out $(OUT) --seeds $(SEEDS) --backbone $(BACKBONE)

miniature-score: install ## how well the miniature draws: table, contact sheets, miniature-score.json [OUT=out]
	$(BIN)/python -m benchmarks.miniature_score --out $(OUT)

picture-score: install ## what people see first, counted: eyes, mouths, hands, goods, places, edges; sheets, picture-score.json [OUT=out]
	$(BIN)/python -m benchmarks.picture_score --out $(OUT)

scene-score: install ## how well a photo's place comes through, empty or with somebody in it: table, sheets, scene-score.json [OUT=out]
	$(BIN)/python -m benchmarks.scene_score --out $(OUT)

character-score: install ## how well photos say who is shown and what they wear: table, sheets, character-score.json [OUT=out]
	$(BIN)/python -m benchmarks.character_score --out $(OUT)

taste-score: install ## how well a taste is read and followed, on simulated users: table, taste-score.json [OUT=out]
	$(BIN)/python -m benchmarks.taste_score --out $(OUT)

learning-score: install ## how well a folder of pictures is looked through and described: table, learning-score.json [DATA OUT=out]
	$(BIN)/python -m benchmarks.learning_score --data $(DATA) --out $(OUT)

cases: install ## public bug reports, tried on the studio: table, cases.json [DATA=folder with cases/ OUT=out]
	$(BIN)/python -m benchmarks.cases --data $(DATA)/cases --out $(OUT)

lora-formats: install ## which LoRA formats are applied, and how exactly [DATA=folder of listings OUT=out]
	$(BIN)/python -m benchmarks.lora_formats --data $(DATA) --out $(OUT)

ip-adapter-sweep: install ## which of an IP-Adapter's blocks carry a place: table, contact sheet, JSON [OUT=out BACKBONE=miniature]
	$(BIN)/python -m benchmarks.ip_adapter_sweep --out $(OUT) --backbone $(BACKBONE)

faults: install ## processes killed and frozen, databases restarted, disks filled while sets are drawn: faults.json, faults.md [OUT=out KILLS=100 SETS=20]
	$(BIN)/python -m benchmarks.faults --out $(OUT) --kills $(KILLS) --sets $(SETS)

load: install ## many people click through the pages while a worker draws: load.json [OUT=out USERS=50 MINUTES=10]
	$(BIN)/python -m benchmarks.load --out $(OUT) --users $(USERS) --minutes $(MINUTES)

overhead: install ## what durable jobs cost beside the work itself: job_overhead.json [OUT=out]
	$(BIN)/python -m benchmarks.job_overhead --out $(OUT)

fuzz: install ## damaged and hostile files, texts and requests, read with limits: fuzz.json [OUT=out INPUTS=20000 SEED=1]
	$(BIN)/python -m benchmarks.fuzz --out $(OUT) --inputs $(INPUTS) --seed $(SEED)

bench: install ## how fast each piece of work is beside plain code for the same: bench.json [OUT=out]
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed --out $(OUT)

bench-check: install ## the same, and a failure where a ratio of docs/bench.json fell by more than a fifth [OUT=out]
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed --out $(OUT) --check docs/bench.json

touch: install ## how many files one more row of each table touches: touch.json [OUT=out]
	$(BIN)/python -m benchmarks.touch --out $(OUT)

full-size: install ## FLUX.1-dev, FLUX.2-klein-4B and Z-Image at their real sizes with random weights [OUT=out]
	$(BIN)/python -m benchmarks.full_size --out $(OUT)

test: install ## all tests but those in a browser, two files at a time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not browser" -n 2 --dist loadfile --no-loadscope-reorder --durations=25

test-browser: install ## the pages in a real Chromium (apt-get install chromium fonts-noto-cjk)
	STUDIO_NEEDS_CHROMIUM=1 $(BIN)/python -m pytest -m browser

test-browser-short: install ## one short journey in Chromium, with every page in both languages: minutes
	STUDIO_NEEDS_CHROMIUM=1 $(BIN)/python -m pytest -m "browser and short"

studio: install ## open the studio in the browser [DATA_FOLDER=data PORT=7860]
	$(BIN)/python app.py --data $(DATA_FOLDER) --port $(PORT)

test-fast: install ## all tests but the whole ways (journeys)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not journey and not browser" -n 2 --dist loadfile --no-loadscope-reorder

lint: install ## ruff: format and rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@! git ls-files --others --ignored --exclude-standard -- assets docs miniature personas pipelines studio tests \
		| grep -v __pycache__ | sed 's/^/ignored by git, so nobody else has it: /' | grep . >&2

types: install ## mypy, strict
	$(BIN)/mypy

imports: install ## import rules between the floors
	$(BIN)/lint-imports

format: install ## let ruff format, sort and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint types imports test test-browser-short ## everything that CI looks at

miniature: install ## train the miniature anew (hours on a CPU)
	$(BIN)/python -m miniature.renders
	$(BIN)/python -m miniature.vae --minutes 100
	$(BIN)/python -m miniature.faces.train recogniser --minutes 46
	$(BIN)/python -m miniature.likeness --minutes 72
	$(BIN)/python -m miniature.flux encode
	$(BIN)/python -m miniature.flux references
	$(BIN)/python -m miniature.faces.train detector --minutes 12
	$(BIN)/python -m miniature.faces.train second --minutes 35
	$(BIN)/python -m miniature.faces.train reader --minutes 50
	$(BIN)/python -m miniature.faces.calibrate
	$(BIN)/python -m miniature.judges --steps 3000
	$(BIN)/python -m miniature.flux train --minutes 328 --rate 8e-4
	$(BIN)/python -m miniature.flux train --minutes 434 --rate 8e-4 --judged 0.2
	$(BIN)/python -m miniature.flux export
	$(BIN)/python -m miniature.earlier take-up --work build/base --vae build/base/vae
	$(BIN)/python -m miniature.pieces
	$(BIN)/python -m miniature.parts --work build/base --renders 4000 --reader assets/miniature/reader
	$(BIN)/python -m miniature.judges --work build/base --pieces build/pieces
	$(BIN)/python -m miniature.base --work build/base
	$(BIN)/python -m miniature.flux export --work build/base --vae build/base/vae
	$(BIN)/python -m miniature.donors
	$(BIN)/python -m miniature.ip_adapter train --minutes 30
	$(BIN)/python -m miniature.ip_adapter export
	$(BIN)/python -m miniature.eyes
	$(BIN)/python -m miniature.finishing
	$(BIN)/python -m miniature.styles

clean: ## remove caches and work folders, keep .venv
	rm -rf build out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info

# make demo    a whole search on drawn streets: launch, confirm, retrain on all folds, predict (about 8 minutes on 2 cores)
# make test    the tests (within 15 minutes on 2 cores); make test-all: also those of clusters, buckets and browsers
# make venv    the environment alone, with all that the project needs
# make check   ruff, mypy, and what is known against the packages in use (make audit)
# make lock    requirements.lock anew, after a change of requirements.txt
# make bench   data, training and prediction against plain loops (about 15 minutes on 2 cores)
# make drill   faults struck at a search, beside the same at Ray's stock combination (about an hour)
# make ui      the MLflow page of the demo
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := demo
.PHONY: venv demo test test-all check audit lock bench drill ui clean

$(VENV)/.installed: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet -r requirements-dev.txt
	touch $@

venv: $(VENV)/.installed

demo: $(VENV)/.installed
	rm -rf $(DEMO)
	$(RUN) -m segcore streets $(DEMO)/streets
	$(RUN) -m segcore check $(DEMO)/streets --folds 3
	$(RUN) -m search launch --data $(DEMO)/streets --name streets --space demo --trials 12 --epochs 7 --grace-epochs 2 \
	  --folds 3 --confirm 2 --confirm-folds 1 --max-concurrent 2 --storage $(DEMO)/searches --cache $(DEMO)/cache
	$(RUN) -m search retrain streets --storage $(DEMO)/searches
	$(RUN) -m segcore predict $(DEMO)/searches/streets/retrain/model $(DEMO)/streets/seg_test_images $(DEMO)/predictions --overlays
	@echo
	@echo "browse the trials:    make ui"
	@echo "look at predictions:  $(DEMO)/predictions/overlays"
	@echo "the model:            $(DEMO)/searches/streets/retrain/model"

ui: $(VENV)/.installed
	$(RUN) -m search ui --storage $(DEMO)/searches

test: $(VENV)/.installed
	$(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-all: $(VENV)/.installed
	$(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "slow or not slow"

check: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	-$(RUN) -m tests.audit

audit: $(VENV)/.installed
	$(RUN) -m tests.audit

# With the versions that are installed, which the tests ran with.
lock: $(VENV)/.installed
	$(RUN) -m pip install --quiet uv==0.13.9
	$(RUN) -m pip freeze --quiet --exclude-editable > $(VENV)/tested.txt
	$(VENV)/bin/uv pip compile requirements.txt --constraint $(VENV)/tested.txt --generate-hashes --python-version 3.11 \
	  --python-platform x86_64-manylinux_2_28 --no-config --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements.lock

bench: $(VENV)/.installed
	$(RUN) -m benchmarks.throughput

drill: $(VENV)/.installed
	$(RUN) -m benchmarks.drill

clean:
	rm -rf $(DEMO)

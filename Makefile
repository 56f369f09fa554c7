# make demo: environment, main job on real data, report.   make test: every test but the slow ones.
# make docs: the pages as a site, in build/docs.   make slow: tests of minutes.   make fuzz: hostile input at length.
# make label-studio: the real one, for the slow test of the bridge to it, in an environment of its own.
# make headline: every strategy on every dataset in $ADDE_DATA_DIR, and what they say together. Hours.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
# A fresh name for each run, so that no demo overwrites another.
NAME   := digits-$(shell date +%Y%m%d-%H%M%S)

.PHONY: demo test slow label-studio docs fuzz headline lint clean

demo: $(VENV)/installed
	$(BIN)/adde run jobs/configs/digits.toml --set run.name=$(NAME)
	$(BIN)/adde report runs/$(NAME)

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup

slow: $(VENV)/installed-dev label-studio
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m slow

label-studio: build/label-studio/installed

docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

fuzz: $(VENV)/installed-dev
	$(BIN)/python tests/fuzz

headline: $(VENV)/installed-dev
	$(BIN)/python benchmarks/headline.py

lint: $(VENV)/installed-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright

# Runs stay: they may hold people's answers.
clean:
	rm -rf $(VENV)

# Stamps: what is installed already is not installed again until its list changes.
$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch -e '.[map]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

# Its requirements are not ours, so it has an environment of its own.
build/label-studio/installed: Makefile
	test -x build/label-studio/bin/python || $(PYTHON) -m venv build/label-studio
	build/label-studio/bin/python -m pip install --quiet --disable-pip-version-check label-studio==1.23.2
	touch $@

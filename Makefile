# Two commands do everything on a fresh Debian or Ubuntu machine with Swift 6.3: `make demo` and
# `make test`. What they do is in Scripts/setup.sh.
.DEFAULT_GOAL := help
.PHONY: help demo test build model lint format counts clean

SETUP := Scripts/setup.sh

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Get the default model and continue a long text with a quantized cache
	@bash $(SETUP) demo

test: ## Check the format, build, run all tests and verify the kernels
	@bash $(SETUP) test

build: ## Build for release
	@bash $(SETUP) build

model: ## Get the default model into the user's cache folder
	@bash $(SETUP) model

lint: ## Check the format of the Swift files
	@bash $(SETUP) lint

format: ## Format the Swift files
	@bash $(SETUP) format

counts: ## Count the instructions of inner loops, and compare with those on record
	@bash $(SETUP) counts

clean: ## Remove what was built (not the models)
	@bash $(SETUP) clean

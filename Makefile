# The door to Baremo: `make` or `make help` lists what it can do.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The pack that `make run` serves: a folder of rules/.
PACK ?= tobacco
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: packages
packages: ## Install the system packages that Baremo needs, where they are missing
	@scripts/install-packages

# `exec`, so that Ctrl-C and SIGTERM reach Baremo itself, which then stops its private database.
.PHONY: run
run: packages ## Build Baremo and serve a pack, watching its folder, with a private database: PACK=tobacco
	cargo build --release --locked
	exec $(TARGET)/release/baremo serve --watch --pack rules/$(PACK)

.PHONY: test
test: packages ## Check formatting and lints, run all tests and the packs' cases
	@scripts/step "Formatting" cargo fmt --all --check
	@scripts/step "Lints" cargo clippy --locked --all-targets -- -D warnings
	@scripts/with-database $(MAKE) test-with-database

# What needs a database: called by `make test` inside the one it starts.
.PHONY: test-with-database
test-with-database:
	@scripts/step "Examples in the documentation" cargo test --locked --doc
	@scripts/step "Tests" cargo test --locked --lib --bins --tests
	@scripts/step "Cases of the packs" scripts/test-packs

# Which benchmarks `make bench` runs, each on a server of its own with as much memory as one in earnest would have.
BENCHES ?= decide totals run ingest http fresh swap
# How they are built: `dist` is what is deployed, and takes minutes more to build.
PROFILE ?= release
# What the server keeps in memory.
BUFFER_POOL ?= 2G
.PHONY: bench
bench: packages ## Measure, and print tables and JSON: BENCHES="run http" PROFILE=dist
	@for bench in $(BENCHES); do \
	  BAREMO_TEST_ON_DISK=1 BAREMO_TEST_SERVER_OPTIONS="--innodb-buffer-pool-size=$(BUFFER_POOL) --innodb-log-file-size=1G" \
	    scripts/with-database cargo bench --locked --profile $(PROFILE) --bench $$bench; \
	done

# Seconds for each of the two kinds of inputs, and where chance begins.
TIME ?= 60
SEED ?= $(shell date +%s)

.PHONY: fuzz
fuzz: packages ## Change packs and scripts by chance, to find what crashes: TIME=60 (seconds)
	BAREMO_FUZZ_SECONDS=$(TIME) BAREMO_FUZZ_SEED=$(SEED) cargo test --release --locked --test engine fuzz:: -- --nocapture --test-threads=1

.PHONY: audit
audit: packages ## Check spelling, TOML, licences, dependencies, the API's description and its clients
	@scripts/audit

.PHONY: clean-data
clean-data: ## Remove the private databases of `make run`: all data in var/
	@scripts/clean-data

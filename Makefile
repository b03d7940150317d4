# The commands of every day. `make` alone lists them.
#
# Test, lint and documentation use one feature set, so that dependencies compile once.

CARGO ?= cargo
SETUP := scripts/setup
FEATURES := --workspace --features testlink

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench fuzz interop

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F'\t' '{ printf "  make %-9s %s\n", $$1, $$2 }'

setup: ## install what is missing to build and test (says what; needs root or sudo only then)
	@$(SETUP)

demo: setup ## a room on this machine: a host speaks, a relay is killed, a table says how well listeners heard
	@$(CARGO) build
	@$(CARGO) run --quiet -- demo

test: setup ## all tests
	$(CARGO) test $(FEATURES)

check: setup ## format, lints and documentation, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(FEATURES) --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy -p majlis-protocol --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(FEATURES) --no-deps

bench: setup ## benchmarks of what relays and speakers do for each packet
	$(CARGO) bench -p majlis-protocol

# How long each target is fuzzed, in seconds, and which: all, or some of the folders of protocol/fuzz/corpus.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(notdir $(wildcard protocol/fuzz/corpus/*))

fuzz: ## fuzz what the protocol takes from strangers; needs cargo-fuzz and a C++ compiler
	@command -v cargo-fuzz >/dev/null || { \
		echo "fuzz: cargo-fuzz is missing; any stable Rust will do: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@cd protocol && $(CARGO) fuzz build -O -s none && for target in $(FUZZ_TARGETS); do \
		echo "fuzz: $$target for $(FUZZ_SECONDS) s"; mkdir -p fuzz/work/$$target; \
		$(CARGO) fuzz run -O -s none $$target fuzz/work/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 || exit 1; \
	done

interop: setup ## a js-libp2p peer against a running node; needs node and npm
	@if [ ! -e tests/interop/package.json ]; then \
		echo "interop: skipped: there is no tests/interop/package.json"; \
	elif ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
		echo "interop: skipped: node or npm is missing"; \
	else \
		$(CARGO) test $(FEATURES) --no-run && \
		built=$$($(CARGO) metadata --no-deps --format-version 1 | node -p 'JSON.parse(fs.readFileSync(0)).target_directory') && \
		cd tests/interop && npm ci --no-audit --no-fund && MAJLIS_BIN="$$built/debug/majlis" npm test; \
	fi

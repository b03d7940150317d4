# The commands of every day. `make` alone lists them.
#
# Test, lint and documentation use one feature set, so that dependencies compile once.

CARGO ?= cargo
SETUP := scripts/setup
FEATURES := --workspace --features testlink

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench interop

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F'\t' '{ printf "  make %-9s %s\n", $$1, $$2 }'

setup: ## install what is missing to build and test (says what; needs root or sudo only then)
	@$(SETUP)

demo: setup ## a room on this machine: a host speaks, listeners hear, a table says how well
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

interop: setup ## a js-libp2p peer against a running node; needs node and npm
	@if [ ! -e tests/interop/package.json ]; then \
		echo "interop: skipped: there is no tests/interop/package.json"; \
	elif ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
		echo "interop: skipped: node or npm is missing"; \
	else \
		$(CARGO) test $(FEATURES) --no-run && cd tests/interop && npm ci --no-audit --no-fund && npm test; \
	fi

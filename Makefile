# The commands of the house. `make run` and `make test` are all that a fresh clone needs.

CARGO ?= cargo
ARGS ?=
SOAK ?= 7

.PHONY: run demo build test tools lint unit ui house soak bench-ingest bench-storage bench-load bench-query

# Builds and starts the server: OTLP on 4317 (gRPC) and 4318 (HTTP), pages and API on http://127.0.0.1:4319
run:
	$(CARGO) run --release --locked -- serve $(ARGS)

# A synthetic shop that sends real OTLP to a running server.
demo:
	$(CARGO) run --release --locked -- demo $(ARGS)

build:
	$(CARGO) build --release --locked

# Everything the gate runs. Installs what it needs, and names what it cannot install.
test: lint unit ui house

# Formatting and lints.
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

# Tests under the code of each crate.
unit:
	$(CARGO) test --release --locked --workspace --lib --bins

# Types and tests of the pages.
ui:
	cd ui/web && { [ -d node_modules ] || npm ci --ignore-scripts; } && npm run check && npm test

# The whole house: a real server, real SDKs, outside readers, a real browser.
house: tools
	. tests/tools.env && $(CARGO) test --release --locked --test house -- --show-output

# What the tests of the whole house need besides: Python packages, Node packages, Chromium.
tools:
	tests/tools.sh tests/tools.env

# The long tests: as many times the crash states, flipped bits, interleavings and kills as SOAK says (200 kills and more),
# fuzzing for ten minutes a target; then replays over and over.
soak: export TRACELAKE_SOAK = $(SOAK)
soak:
	$(CARGO) test --release --locked -p tracelake-storage -p tracelake --lib -- --show-output \
	  power faults flip race remote durability erase
	TRACELAKE_SOAK=1 $(CARGO) test --release --locked -p tracelake-ingest -p tracelake --lib -- --show-output fuzz
	tests/tools.sh tests/tools.env
	. tests/tools.env && $(CARGO) test --release --locked --test house -- --show-output crash::
	. tests/tools.env && for round in $$(seq 1 $${ROUNDS:-10}); do \
	  $(CARGO) test --release --locked --test house -- replay:: || exit 1; done

# What ingest costs beside ClickHouse, how soon it answers, what it does when it is offered twice what it can take.
bench-ingest:
	$(CARGO) bench --locked --bench ingest -- $(ARGS)

# Bytes a record before and after compaction, merges, and a start and traces by id with 1,000 parts.
bench-storage:
	$(CARGO) bench --locked --bench storage -- $(ARGS)

# Memory at 20,000 spans a second and at twice what the server can take, and the time to read a log again.
bench-load:
	$(CARGO) bench --locked --bench load -- $(ARGS)

# Searches, traces by id and the map over so many spans of the demo shop (ARGS, a million without): p50 and p99.
bench-query:
	$(CARGO) bench --locked --bench query -- $(ARGS)

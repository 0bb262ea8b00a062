# Nearside. `make` alone says what can be made. Needs Go 1.26, Node 20 and make; the rest is fetched.
SHELL         := bash
.SHELLFLAGS   := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-builtin-rules --no-print-directory

GO       ?= go
BUILD    := .build
BIN      := $(BUILD)/nearside
RUN_DIR  ?= $(BUILD)/run
LISTEN   ?= 127.0.0.1:8065
E2E      := cmd/nearside/e2e
LINTER   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 10s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

export NEARSIDE_BUILD := $(CURDIR)/$(BUILD)

.PHONY: help
help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build postgres ## Run the federation on this machine: three home nodes, an edge in three regions
	@echo "Starting; when it says ready, open http://$(LISTEN)"
	@exec $(BIN) demo --data $(RUN_DIR) --listen $(LISTEN)

.PHONY: build
build: need-go ## Build the program into .build/nearside
	@mkdir -p $(BUILD)
	@$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/nearside

.PHONY: test
test: need-go need-node build postgres versitygw driver ## Prove it: format, vet, Go tests with the race detector, the driver test (under 15 minutes)
	@NEARSIDE=$(CURDIR)/$(BIN) $(GO) run ./bench/suite

.PHONY: check
check: test lint ## Everything that a change must pass: the tests and the linters
	@$(GO) mod tidy -diff

.PHONY: fmt
fmt: need-go ## Format the code
	@gofmt -l -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: lint
lint: need-go ## Run the linters at their pinned version (builds them the first time)
	@$(GO) run $(LINTER) run ./...

.PHONY: fuzz
fuzz: need-go ## Run every fuzz target for FUZZTIME (10s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for f in $$($(GO) test -list '^Fuzz' "$$dir" | grep '^Fuzz'); do \
	    echo "fuzz $$dir $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
	  done; done

.PHONY: e2e
e2e: build need-node postgres driver ## Run the driver test alone, against a federation of real processes
	@NEARSIDE=$(CURDIR)/$(BIN) node --test $(E2E)/driver.test.mjs

.PHONY: driver
driver: need-node
	@cd $(E2E) && npm ci --no-audit --no-fund --loglevel=error

.PHONY: bench
bench: build postgres ## Measure every number we promise, beside its target; keeps the result in bench/results
	@$(GO) run ./bench -nearside $(BIN) -results bench/results $(BENCH)

.PHONY: chaos
chaos: build postgres ## Kill and freeze nodes and databases under load and check that nothing was lost or doubled
	@$(GO) run ./bench -nearside $(BIN) -only leader,edge,database,follower,frozen $(CHAOS)

.PHONY: postgres
postgres: ## Make sure that there is a PostgreSQL: the machine's, else a pinned build in .build
	@sh deploy/fetch-postgres.sh

.PHONY: versitygw
versitygw: need-go ## Make sure that there is the S3 server of the tests, at its pinned version in .build
	@GO=$(GO) sh deploy/fetch-versitygw.sh || echo "The tests that need it will be skipped." >&2

.PHONY: clean
clean: ## Remove what was built, fetched and run
	@rm -rf $(BUILD) $(E2E)/node_modules

.PHONY: need-go
need-go:
	@command -v $(GO) >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/dl/ (or apt-get install golang-go)" >&2; exit 1; }
	@v=$$($(GO) env GOVERSION); case "$$v" in go1.[0-9]|go1.[0-9].*|go1.1[0-9]*|go1.2[0-5]*) \
	  echo "Go 1.26 or newer is needed, this is $$v: https://go.dev/dl/" >&2; exit 1;; esac

.PHONY: need-node
need-node:
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "Node 20 or newer with npm is needed: https://nodejs.org (or apt-get install nodejs npm)" >&2; exit 1; }
	@v=$$(node -p 'process.versions.node.split(".")[0]'); [ "$$v" -ge 20 ] || { echo "Node 20 or newer is needed, this is $$v: https://nodejs.org" >&2; exit 1; }

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
TOOLS    := $(BUILD)/tools
# What only tests reach, and may: packages for tests, and what needs the insides of its package.
FOR_TESTS := ^bench/|^[^:]*test/|^core/eventually/|func: (Direct\.|ScopeOf$$|Types$$|ScanRow$$)
FUZZTIME ?= 10s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

export NEARSIDE_BUILD := $(CURDIR)/$(BUILD)
export NEARSIDE       := $(CURDIR)/$(BIN)
export GO
# A go command that is older than the toolchain in go.mod fetches it from the module proxy, also
# where its own default (Debian's is "local") would use what is there, faults and all.
export GOTOOLCHAIN ?= auto

.PHONY: help
help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build postgres ## Run the federation on this machine: three home nodes, an edge in three regions
	@echo "Starting; when it says ready, open http://$(LISTEN)"
	@exec $(BIN) demo --data $(RUN_DIR) --listen $(LISTEN)

.PHONY: build
build: need-go ## Build the program into .build/nearside
	@mkdir -p $(BUILD)
	@$(GO) build -v -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/nearside 2>&1 | sh deploy/progress.sh

.PHONY: test
test: need-go need-node build postgres versitygw driver ## Prove that the product works: all tests with the race detector (10 minutes on two idle cores)
	@$(GO) run ./bench/suite

.PHONY: check
check: need-go need-node build postgres versitygw driver ## Everything that a change must pass: what the checks below say, then the tests
	@$(GO) run ./bench/suite -check

.PHONY: fmt
fmt: need-go ## Format the code
	@gofmt -l -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: format
format: need-go ## Check that the code is formatted
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); [ -z "$$bad" ] || { echo "$$bad"; echo "make fmt formats them"; exit 1; }

.PHONY: vet
vet: need-go ## Check with go vet
	@$(GO) vet ./...

.PHONY: lint
lint: need-go ## Check with golangci-lint (.golangci.yml)
	@sh deploy/fetch-tool.sh golangci-lint
	@$(TOOLS)/golangci-lint run --allow-parallel-runners ./...

.PHONY: tidy
tidy: need-go ## Check that go.mod is tidy
	@$(GO) mod tidy -diff

.PHONY: deadcode
deadcode: need-go ## Check that every function is reached by a program or a test, and the product's by a program
	@sh deploy/fetch-tool.sh deadcode
	@bad=$$($(TOOLS)/deadcode -test ./...; $(TOOLS)/deadcode ./... | grep -vE '$(FOR_TESTS)' || true); [ -z "$$bad" ] || { sort -u <<<"$$bad"; exit 1; }

.PHONY: vulnerabilities
vulnerabilities: need-go ## Check that no known vulnerability is reached, in our code, a library or Go itself
	@sh deploy/fetch-tool.sh govulncheck
	@$(TOOLS)/govulncheck -db "$$(sh deploy/fetch-vulndb.sh)" ./...

.PHONY: canaries
canaries: need-go ## Check that the checks find what they must find: a race, dead code, a vulnerable Go
	@! out=$$($(GO) test -race -tags=canary -run=TestCanary ./bench/suite 2>&1) && grep -q 'DATA RACE' <<<"$$out" || { echo "the race detector does not find a race: $$out"; exit 1; }
	@sh deploy/fetch-tool.sh deadcode govulncheck
	@$(TOOLS)/deadcode -tags=canary -test ./bench/suite | grep canaryUnreached >/dev/null || { echo "deadcode does not find dead code"; exit 1; }
	@$(TOOLS)/govulncheck -db "$$(sh deploy/fetch-vulndb.sh)" -mode query -format json stdlib@v1.26.0 | grep '"id": "GO-' >/dev/null || { echo "the database knows no fault of Go 1.26.0"; exit 1; }

.PHONY: fuzz
fuzz: need-go ## Run every fuzz target for FUZZTIME (10s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
	  for f in $$($(GO) test -list '^Fuzz' "$$dir" | grep '^Fuzz'); do \
	    echo "fuzz $$dir $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
	  done; done

.PHONY: e2e
e2e: build need-node postgres driver ## Run the driver test alone, against a federation of real processes
	@node --test $(E2E)/driver.test.mjs

.PHONY: driver
driver: need-node
	@[ -d $(E2E)/node_modules ] || echo "Installing the client that the driver test drives"
	@cd $(E2E) && npm ci --no-audit --no-fund --loglevel=error

.PHONY: bench
bench: build before postgres ## Measure every number we promise, beside its target; keeps the result in bench/results
	@$(GO) run ./bench -nearside $(BIN) -before $(BUILD)/before/nearside -results bench/results $(BENCH)

# What CPU times are compared with: the commit before nouns were declared once.
BEFORE := 2d0f9ce

.PHONY: before
before: need-go
	@if ! git cat-file -e $(BEFORE)^{commit} 2>/dev/null; then echo "The history here does not have commit $(BEFORE): no CPU times to compare with."; exit 0; fi; \
	dir=$(BUILD)/before; [ "$$(cat $$dir/commit 2>/dev/null)" = $(BEFORE) ] && exit 0; \
	echo "Building commit $(BEFORE), to compare with"; rm -rf $$dir; mkdir -p $$dir/src; \
	git archive $(BEFORE) | tar -x -C $$dir/src; (cd $$dir/src && $(GO) build -o ../nearside ./cmd/nearside); \
	rm -rf $$dir/src; echo $(BEFORE) > $$dir/commit

.PHONY: chaos
chaos: build postgres ## Kill and freeze nodes and databases under load and check that nothing was lost or doubled
	@$(GO) run ./bench -nearside $(BIN) -only leader,edge,database,follower,frozen $(CHAOS)

DURATION ?= 1h

.PHONY: endure
endure: build postgres ## Run the demo for DURATION (1h) under people, an abuser, a hostile edge and a kill a minute; keeps the result in bench/results
	@$(GO) run ./bench/endure -nearside $(BIN) -duration $(DURATION) -results bench/results $(ENDURE)

.PHONY: postgres
postgres: ## Make sure that there is a PostgreSQL: the machine's, else a pinned build in .build
	@sh deploy/fetch-postgres.sh

.PHONY: versitygw
versitygw: need-go ## Make sure that there is the S3 server of the tests, at its pinned version in .build
	@sh deploy/fetch-tool.sh versitygw || echo "The tests that need it will be skipped." >&2

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

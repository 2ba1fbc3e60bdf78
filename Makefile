# The commands that people and CI use. `make help` lists them.
SHELL       := bash
GO          ?= go
FUZZTIME    ?= 30s
PORTABLE    := ./internal/loop ./internal/upstream ./internal/mirror ./internal/proxy
RACE        := ./internal/handover ./internal/loop ./internal/mirror ./internal/overload ./internal/proxy ./internal/tlsconn ./internal/upstream ./internal/telemetry ./internal/admin ./internal/cli ./internal/demo
GENERATED   := docs/support.md api/v1alpha1/sundog.dev_shadowpolicies.yaml
LINT        := $(GO) tool -modfile=tools/go.mod golangci-lint

.PHONY: help build demo test deps lint generate check-generate fuzz bench clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/sundog, static
	@echo "building bin/sundog (the first time fetches modules and takes a minute or two)"
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/sundog ./cmd/sundog

demo: build ## two clusters, real services, the examples' YAML; ends with PASS
	bin/sundog demo

# What the end-to-end tests talk to. Without root, and on systems without apt,
# tests say what they skip.
deps:
	@.ci/deps

test: deps ## all tests, on both drivers, then end to end; says what it could not test
	@echo "== vet"; $(GO) vet ./... && $(GO) vet -tags portable $(PORTABLE) ./test
	@echo "== all packages"; $(GO) test -timeout 10m $$($(GO) list ./... | grep -v '/test$$')
	@echo "== race detector"; $(GO) test -race -timeout 10m $(RACE)
	@echo "== the portable driver"; $(GO) test -tags portable -timeout 5m $(PORTABLE) ./test
	@echo "== end to end: real processes (some three minutes)"; mkdir -p bin
	@set -o pipefail; $(GO) test -count=1 -v -timeout 10m ./test 2>&1 | grep --line-buffered -v '^=== ' | tee bin/test-end-to-end.log
	@if grep 'NOT TESTED' bin/test-end-to-end.log; then echo "PASS, but see what was not tested"; else echo "PASS, nothing was left out"; fi

lint: ## linters and formatting (builds the linter first)
	$(LINT) run ./...
	$(LINT) fmt --diff ./...

generate: ## write what is generated and committed
	$(GO) generate ./...

check-generate: ## fail if generating changes anything
	@set -e; before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; cp $(GENERATED) "$$before"; \
	$(GO) generate ./...; \
	for f in $(GENERATED); do \
	  diff -u "$$before/$$(basename $$f)" $$f || { echo "$$f was out of date: commit what 'make generate' writes"; exit 1; }; \
	done

fuzz: ## every fuzz target for FUZZTIME each
	@for pkg in $$($(GO) list ./internal/... ./test/framing); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$pkg || exit 1; \
	  done; \
	done

bench: deps ## ratios beside other proxies, into docs/benchmarks.md; wants a quiet machine
	$(GO) run ./bench -out docs/benchmarks.md

clean: ## remove what was built
	rm -rf bin

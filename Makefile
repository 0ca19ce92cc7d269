# One variant for build, vet, test and lint: each other combination of these
# compiles every dependency again. Race and fuzz have to be other ones.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -tags=nomsgpack -buildvcs=false

# Bytes that bin/postern may have.
MAX_SIZE := 52000000
# Packages whose tests run a binary that Go does not bring along.
NEEDS_DOWNLOADS := ./store/mongo/... ./server/gateway/shippedtest/... ./server/oauth/clienttest/... ./server/scim/checkertest/... ./cmd/postern/mongotest/... ./server/api/schematest/... ./server/console/browsertest/... ./server/console/oidctest/...
# Packages with goroutines of their own; less the browser tests, which would
# compile the browser's whole protocol once more and race nothing new.
RACE_PKGS ?= ./policy/... ./store/... ./server/...
# Folders whose fuzz targets run, and for how long each.
FUZZ_DIRS ?= .
FUZZTIME ?= 10s
# Extra flags for go test, such as -run or -v.
TESTFLAGS ?=
# What `postern version` says; empty means what the source says.
VERSION ?=

ENV := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/postern/env.sh
# Runs go test beside a MongoDB replica set, with the tools that are there.
# What is missing fails the tests that need it, and only those.
WITH_MONGO = if [ -f "$(ENV)" ]; then . "$(ENV)"; fi; bin/with-mongo

.DEFAULT_GOAL := help
.PHONY: help build test test-go race lint fmt fuzz e2e screenshots bench bench-quick vuln run tools with-mongo

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/postern, stripped; VERSION=… names it
	go build -ldflags "-s -w$(if $(VERSION), -X main.version=$(VERSION))" -o bin/postern ./cmd/postern
	@size=$$(wc -c <bin/postern); echo "bin/postern: $$size bytes of $(MAX_SIZE) allowed"; test $$size -le $(MAX_SIZE)

run: ## start the server on the embedded store; ARGS=… for its flags
	go run ./cmd/postern serve $(ARGS)

test: with-mongo ## every test, fetching what they need
	$(WITH_MONGO) go test -timeout 20m $(TESTFLAGS) ./...

test-go: ## the tests that need no downloads, on SQLite
	go test $(TESTFLAGS) $$(go list ./... | grep -vE '^postern/($(subst $() ,|,$(NEEDS_DOWNLOADS:./%/...=%)))(/|$$)')

e2e: with-mongo ## the stories that run the real binary
	$(WITH_MONGO) go test -count=1 $(TESTFLAGS) ./cmd/postern/...

race: with-mongo ## RACE_PKGS under the race detector, which needs gcc
	$(WITH_MONGO) env CGO_ENABLED=1 go test -race -vet=off $(TESTFLAGS) $$(go list $(RACE_PKGS) | grep -v /browsertest$$)

fuzz: ## each fuzz target of FUZZ_DIRS for FUZZTIME
	@set -e; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' $(FUZZ_DIRS)); do \
		for target in $$(sed -n 's/^func \(Fuzz[[:alnum:]_]*\)(.*/\1/p' "$$file"); do \
			.ci/fuzz "./$$(dirname "$$file")" "$$target" $(FUZZTIME); \
		done; \
	done

screenshots: ## docs/screenshots/*.png, as the browser tests see the console
	@.ci/tools chromium axe oidc-provider
	. "$(ENV)"; POSTERN_SCREENSHOTS="$(CURDIR)/docs/screenshots" go test -count=1 $(TESTFLAGS) ./server/console/browsertest

bench: with-mongo ## measure what is promised, at full size: half an hour
	@if [ -f "$(ENV)" ]; then . "$(ENV)"; fi; .ci/bench full

bench-quick: with-mongo ## the same at a hundredth of the size
	@if [ -f "$(ENV)" ]; then . "$(ENV)"; fi; .ci/bench quick

lint: ## go vet and golangci-lint
	go vet ./...
	@.ci/tools golangci-lint
	. "$(ENV)"; "$$GOLANGCI_LINT" run -c .ci/golangci.yml

fmt: ## format the source as lint wants it
	@.ci/tools golangci-lint
	. "$(ENV)"; "$$GOLANGCI_LINT" fmt -c .ci/golangci.yml

vuln: ## known vulnerabilities in what is called; asks an online database
	go run golang.org/x/vuln/cmd/govulncheck@v1.8.0 -test ./...

tools: ## fetch what tests and lint need into the user's cache folder
	.ci/tools

with-mongo:
	@go build -o bin/with-mongo ./store/mongo/mongotest/with-mongo
	-@.ci/tools mongod nginx traefik caddy envoy haproxy apache2 mod-oauth2 scim2-tester scim-sanity schemathesis chromium axe oidc-provider clients-python clients-node

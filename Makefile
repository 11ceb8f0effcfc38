# make up     everything is set up, the cluster comes up, the platform runs, one scenario has passed
# make test   unit and end-to-end tests (the latter on a real kind cluster of their own)
# make build  only bin/dynsandbox

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
GO ?= go
BIN := bin/dynsandbox

.PHONY: up test unit platform-test e2e build lint fmt proto clean

up: build
	$(BIN) setup
	$(BIN) up

# Without DWARF: 0.4 s less to link, and panics keep their traces.
build:
	CGO_ENABLED=0 $(GO) build -buildvcs=false -ldflags=-w -o $(BIN) ./cmd/dynsandbox

test: lint unit platform-test e2e

unit:
	$(GO) test $$($(GO) list ./... | grep -v /sandbox/e2e)

platform-test:
	$(MAKE) -C platform test

# -v: the steps are long, and a log that stands still helps nobody.
e2e: build
	$(BIN) setup
	$(GO) test ./sandbox/e2e -count=1 -v -timeout 80m

lint:
	@test -z "$$(gofmt -l cmd sandbox cluster images fixtures scenarios internal platform/go)" || { gofmt -l cmd sandbox cluster images fixtures scenarios internal platform/go; echo "not formatted: make fmt"; exit 1; }
	$(GO) vet ./...
	cd platform/go && $(GO) vet ./...

fmt:
	gofmt -w cmd sandbox cluster images fixtures scenarios internal platform/go

clean:
	rm -rf bin

# make up     everything is set up, the cluster comes up, the platform runs, one scenario has passed
# make test   unit and end-to-end tests (the latter on a real kind cluster of their own)
# make mixed  parts of the original DYNAMOS in the reference platform: UPSTREAM=DIR, a checkout of it
# make bench  ratios against what else people would do, and floors: docs/performance.md
# make build  only bin/dynsandbox

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
GO ?= go
BIN := bin/dynsandbox

# One setting for building, testing and vetting: they share the compiler's cache, and need no C compiler.
export CGO_ENABLED := 0

.PHONY: up test unit platform-test e2e mixed bench engine build lint fmt proto clean

up: engine
	$(BIN) up

# A Docker engine answers.
engine: build
	$(BIN) setup

# Without DWARF: 0.4 s less to link, and panics keep their traces.
build:
	$(GO) build -buildvcs=false -ldflags=-w -o $(BIN) ./cmd/dynsandbox

test: engine lint unit platform-test e2e

unit:
	$(GO) test $$($(GO) list ./... | grep -v /sandbox/e2e)

platform-test:
	$(MAKE) -C platform test

# -v: the steps are long, and a log that stands still helps nobody.
e2e: engine
	$(GO) test ./sandbox/e2e -count=1 -v -timeout 75m

# The same sandbox. What was run, and what came of it: docs/compatibility.md
mixed: engine
	@test -d "$(UPSTREAM)/go/cmd" || { echo "make mixed UPSTREAM=DIR: DIR is a checkout of https://github.com/Jorrit05/DYNAMOS"; exit 2; }
	DYNSANDBOX_UPSTREAM="$(abspath $(UPSTREAM))" $(GO) test ./sandbox/e2e -run TestMixed -count=1 -v -timeout 75m

# On a sandbox of its own. BENCH='-run reload -n 7' measures some rows only, with more samples; bin/bench -h tells the rest.
# kind's own command is the peer of some.
bench: engine
	$(GO) build -buildvcs=false -ldflags=-w -o bin/kind sigs.k8s.io/kind
	$(GO) build -buildvcs=false -ldflags=-w -o bin/bench ./sandbox/bench
	bin/bench $(BENCH)

lint:
	@test -z "$$(gofmt -l cmd sandbox cluster images fixtures scenarios internal platform/go)" || { gofmt -l cmd sandbox cluster images fixtures scenarios internal platform/go; echo "not formatted: make fmt"; exit 1; }
	$(GO) vet ./...
	cd platform/go && $(GO) vet ./...

fmt:
	gofmt -w cmd sandbox cluster images fixtures scenarios internal platform/go

# The generated code of the control API (the platform's own: make -C platform/go proto). protoc comes with grpcio-tools.
proto:
	python3 -m venv bin/proto
	bin/proto/bin/pip install -q grpcio-tools==1.85.1
	GOBIN=$(CURDIR)/bin/proto/bin $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	GOBIN=$(CURDIR)/bin/proto/bin $(GO) install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
	cd sandbox/control && PATH=$(CURDIR)/bin/proto/bin:$$PATH $(CURDIR)/bin/proto/bin/python -m grpc_tools.protoc -I . \
		--go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative control.proto

clean:
	rm -rf bin

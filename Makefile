# Everything that is built, tested or checked here begins with one of these targets.
# `make` alone prints them, from the comments behind their names.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s
ROUNDS ?= 3
ROWS ?=
PEERS ?=
REF ?= HEAD
BENCHTIME ?= 100ms
LIMIT ?= 33m

# setup puts a Go of its own into .tools/go where the machine has none that is new enough.
export PATH := $(CURDIR)/.tools/go/bin:$(PATH)

LINT  := go tool -modfile=.tools/go.mod golangci-lint run
BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w -X main.version=$(VERSION)'
BENCHMARKED = $(shell grep -rl --include='*_test.go' --exclude-dir='.?*' '^func Benchmark' . | xargs -r dirname | sort -u)

.PHONY: help
help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do printf '  %-14s %s\n' "$$name" "$$what"; done

.PHONY: setup
setup: ## install what building and the demo need and is missing (as root, Debian)
	@.tools/setup

.PHONY: build
build: setup ## bin/objvol, static and stripped
	$(BUILD) -o bin/objvol ./cmd/objvol

.PHONY: build-slim
build-slim: setup ## bin/objvol-slim, the same without the embedded store
	$(BUILD) -tags noembedded -o bin/objvol-slim ./cmd/objvol

PLUGIN ?= bin/plugin

.PHONY: plugin
plugin: setup ## bin/plugin, a folder that "docker plugin create" takes
	rm -rf $(PLUGIN)
	$(BUILD) -tags noembedded -o $(PLUGIN)/rootfs/objvol ./cmd/objvol
	install -D -m 644 /etc/ssl/certs/ca-certificates.crt $(PLUGIN)/rootfs/etc/ssl/certs/ca-certificates.crt
	install -m 644 deploy/plugin/config.json $(PLUGIN)

.PHONY: demo
demo: build ## the two-minute tour: a volume, two containers, the objects
	bin/objvol demo

.PHONY: minio
minio: setup # the server that the tests run against: .tools/bin/minio
	@.tools/minio/install

.PHONY: engine
engine: setup # Docker's, installed and started where it is missing
	@.tools/engine
	@[ -e /dev/fuse ] || modprobe fuse || mknod /dev/fuse c 10 229

# Nothing is skipped for want of an engine, a server, FUSE or another program: what is
# missing fails. Two packages at once keep mounts and containers of different tests from
# crowding a small machine. A test that hangs ends with the stacks of all goroutines.
TEST := OBJVOL_REQUIRE=docker,minio,fuse,s3fs,prometheus,systemd,docker-compose,sqlite3,postgresql,git,rsync,tar,attr,acl,e2fsprogs .tools/leftovers go test -count=1 -p 2

.PHONY: test
test: setup minio engine ## all tests, with a real engine, a real MinIO and real mounts
	@.tools/setup test
	go vet -tags noembedded ./...
	@$(TEST) -timeout 10m ./...

.PHONY: race
race: minio engine ## all tests under the race detector
	@.tools/setup race
	@$(TEST) -race -timeout 40m ./...

.PHONY: large
large: minio ## a file of 5.5 GiB through a volume and back, a volume of a million files; needs 30 GiB of disk
	@OBJVOL_LARGE=1 $(TEST) -v -timeout 15m -run '^(TestLargeFile|TestMillionFiles)$$' ./cmd/objvol ./fusefs/vfs

.PHONY: lint
lint: setup ## all linters, on both builds
	$(LINT)
	$(LINT) --build-tags noembedded

.PHONY: fuzz
fuzz: setup ## every fuzz target for FUZZTIME (30s)
	@.tools/fuzz $(FUZZTIME)

.PHONY: vuln
vuln: setup ## known vulnerabilities in what the program calls; DB= names a copy of the database
	@DB=$(DB) .tools/vuln

.PHONY: licences
licences: setup ## bin/licences.txt: those of all that is linked; fails on one that does not fit ours
	@mkdir -p bin
	@go test -C .tools ./licences
	@go run -C .tools ./licences .. ./cmd/objvol >bin/licences.new
	@mv bin/licences.new bin/licences.txt
	@sed '/^$$/{n;/^===/q}' bin/licences.txt | grep -v '^==='

.PHONY: weight
weight: build build-slim ## size, modules and memory of both programs
	@.tools/weight bin/objvol bin/objvol-slim

.PHONY: bench
bench: EXTENT = -limit 14m
bench: measure ## the tables of a volume beside a local directory and a client of the store, within 15 minutes; ROWS=regexp ROUNDS=n

.PHONY: bench-full
bench-full: EXTENT = -full -limit $(LIMIT)
bench-full: export PATH := $(CURDIR)/.tools/bin:$(PATH)
bench-full: measure ## the same with the rows that take long, and what make peers has built, within 35 minutes (LIMIT)

.PHONY: peers
peers: setup ## rclone for bench-full, into .tools/bin; geesefs, goofys, juicefs and s3fs are taken from the PATH
	GOBIN=$(CURDIR)/.tools/bin CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' github.com/rclone/rclone@v1.76.0

.PHONY: measure
measure: setup minio # ROWS selects rows by name, PEERS other filesystems (^$$ is none); only tables go to stdout
	@.tools/setup bench >&2
	@$(BUILD) -o bin/objvol ./cmd/objvol
	@go build -o bin/bench ./cmd/bench
	@.tools/leftovers bin/bench -objvol bin/objvol -rounds $(ROUNDS) -rows '$(ROWS)' -peers '$(PEERS)' $(EXTENT)

.PHONY: bench-parts
bench-parts: setup ## all benchmarks of single parts
	go test -run '^$$' -bench . -benchmem $(BENCHMARKED)

.PHONY: bench-compare
bench-compare: setup ## all benchmarks of single parts, compared with those of REF (HEAD); BENCHTIME (100ms) for each, six times
	@.tools/compare $(REF) $(BENCHTIME) $(BENCHMARKED)

.PHONY: clean
clean: ## remove what was built; tools and caches stay
	rm -rf bin

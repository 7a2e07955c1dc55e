# SPDX-License-Identifier: Apache-2.0
# The verbs. A line "name: … ## text" is a line of `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

PREFIX ?= /usr/local
DESTDIR ?=
VERSION := $(shell sed -n 's/^\#define CKPT_VERSION "\(.*\)"/\1/p' include/checkpointkit.h)
SOVERSION := 0
BIN := .build/release
STAGE := $(CURDIR)/.build/stage
LIBRARY := .build/library/libcheckpointkit.so.$(VERSION)
SWIFT_BUILD := swift build -c release
CFLAGS ?= -O2 -g -Wall -Wextra
C_EXAMPLES := $(patsubst Examples/FromC/%.c,.build/examples/%,$(wildcard Examples/FromC/*.c))
C_BENCHMARKS := $(patsubst Benchmarks/Programs/%.c,.build/benchmarks/%,$(wildcard Benchmarks/Programs/*.c))

ROUNDS ?= 10000

.PHONY: build programs-and-tests stage fixtures c-examples c-benchmarks demo test check soak matrix tracker-test faults bench docs install uninstall clean help setup-build setup-demo setup-test setup-bench

build: setup-build ## Build the library, the programs and the examples (release)
	$(SWIFT_BUILD)
	$(MAKE) --no-print-directory stage

demo: setup-demo ## Checkpoint, kill and restart Examples/Neighbours twice; compare with a run left alone (2 minutes)
	$(SWIFT_BUILD)
	$(MAKE) --no-print-directory stage
	Scripts/demo

test: setup-test programs-and-tests fixtures ## All tests, from nothing; ends with the count of skipped ones and the reasons
	Scripts/test

check: setup-test programs-and-tests ## The conventions, checked on the tree itself (seconds after the build)
	Scripts/test --filter ConventionTests

soak: setup-test programs-and-tests fixtures ## The end-to-end table 50 times and 200 random rounds over the examples (hours)
	Scripts/soak

matrix: setup-test programs-and-tests fixtures ## Every fixture in every flavour, and Documentation/fidelity.md from the results (40 minutes)
	Scripts/matrix

tracker-test: setup-build ## Random operations on memory; each image against the truth (ROUNDS=10000, a few minutes)
	Tests/Engine/build .build/engine
	.build/engine/tracker_rounds --rounds $(ROUNDS)

faults: setup-test programs-and-tests fixtures ## Every system call of a checkpoint, a fold and a prune goes wrong once, in each way (30 minutes)
	Tests/Engine/build .build/engine
	.build/engine/fault_rounds
	CKPT_TEST_FULL=1 .build/release/CheckpointKitPackageTests.xctest --testing-library swift-testing --filter OfflineFaultTests

bench: setup-bench ## What everything costs: tables, JSON (.build/bench.json), Documentation/performance.md; ONLY=pause,idle: parts
	$(SWIFT_BUILD)
	$(MAKE) --no-print-directory stage
	$(MAKE) --no-print-directory c-benchmarks
	$(BIN)/checkpoint-bench $(if $(ONLY),--only $(ONLY))

docs: setup-build ## Where the documentation is, and the texts of --help as files in .build/docs
	$(SWIFT_BUILD)
	Scripts/docs

install: $(LIBRARY) ## Install bin, lib and include under PREFIX (default /usr/local)
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/lib/pkgconfig" "$(DESTDIR)$(PREFIX)/include"
	install -s -m 755 $(BIN)/ckpt $(BIN)/ckpt-restart "$(DESTDIR)$(PREFIX)/bin/"
	install -m 755 $(LIBRARY) "$(DESTDIR)$(PREFIX)/lib/"
	ln -sfn libcheckpointkit.so.$(VERSION) "$(DESTDIR)$(PREFIX)/lib/libcheckpointkit.so.$(SOVERSION)"
	ln -sfn libcheckpointkit.so.$(SOVERSION) "$(DESTDIR)$(PREFIX)/lib/libcheckpointkit.so"
	install -m 644 include/checkpointkit.h "$(DESTDIR)$(PREFIX)/include/"
	Scripts/pkg-config-file "$(PREFIX)" $(VERSION) > "$(DESTDIR)$(PREFIX)/lib/pkgconfig/checkpointkit.pc"

uninstall: ## Remove what install has put under PREFIX
	rm -f "$(DESTDIR)$(PREFIX)/bin/ckpt" "$(DESTDIR)$(PREFIX)/bin/ckpt-restart" "$(DESTDIR)$(PREFIX)"/lib/libcheckpointkit.so* \
	    "$(DESTDIR)$(PREFIX)/include/checkpointkit.h" "$(DESTDIR)$(PREFIX)/lib/pkgconfig/checkpointkit.pc"

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r verb text; do printf 'make %-10s %s\n' "$$verb" "$$text"; done

clean:
	rm -rf .build

# What is missing of the distribution's packages is installed, and said.
setup-build setup-demo setup-test setup-bench: setup-%:
	@Scripts/setup $*

# One build for the tests: the programs, the library and the tests share it.
programs-and-tests: setup-test
	$(SWIFT_BUILD) --build-tests
	$(MAKE) --no-print-directory stage

# The C interface as others get it: the Swift runtime inside, so that the host needs no Swift.
$(LIBRARY): $(wildcard $(BIN)/libcheckpointkit.so) Scripts/link-library
	@test -e $(BIN)/checkpointkit.product/Objects.LinkFileList || { echo "make: nothing is built yet; run make first" >&2; exit 1; }
	Scripts/link-library $(BIN) $@ libcheckpointkit.so.$(SOVERSION)

# What is built, laid out as `make install` does it: tests, examples in C and benchmarks are linked to this.
stage:
	@$(MAKE) --no-print-directory install PREFIX="$(STAGE)" DESTDIR= > .build/stage.log 2>&1 || { cat .build/stage.log; exit 1; }
	@$(MAKE) --no-print-directory c-examples

fixtures: programs-and-tests
	@if [ -x Tests/Fixtures/build ]; then Tests/Fixtures/build "$(STAGE)/lib" .build/fixtures; fi
c-examples: $(C_EXAMPLES)
c-benchmarks: $(C_BENCHMARKS)

# The first line of a program in C may say what it needs: "// link: -static" or "// link: -lm" adds to its command,
# "// link: alone" leaves the library out.
define compile
	@mkdir -p $(@D)
	Scripts/compile-c "$(STAGE)" $< $@ $(CFLAGS)
endef
.build/examples/%: Examples/FromC/%.c $(LIBRARY)
	$(compile)
.build/benchmarks/%: Benchmarks/Programs/%.c $(wildcard Benchmarks/Programs/*.h) $(LIBRARY)
	$(compile)

# What a person does with this project. `make` alone lists it.

TRIPLE := $(shell rustc -vV | sed -n 's/^host: //p')
MUSL := aarch64-unknown-linux-musl x86_64-unknown-linux-musl
BINARY := target/$(TRIPLE)/release/holdfast

.PHONY: help build demo test static dist dist-check vm-test vm-short power-cut soak chaos turnover bench mutants fuzz man lint deny cross debian root

help:
	@echo 'make demo    build the program and show its main job; needs root, no network, no registry'
	@echo 'make test    all tests, those with a real kernel included; needs root'
	@echo 'make dist    static programs for x86-64 and ARM64, bill of materials and checksums, into dist/; some ten minutes'
	@echo 'make dist-check   whether another folder makes the same bytes'
	@echo 'make vm-test emulated machines, x86-64 and ARM, with cgroup v2 only; what make dist made, in some five minutes'
	@echo 'make power-cut    50 power cuts of an emulated machine; some 15 minutes'
	@echo 'make soak    2,000 container starts with both cores busy; needs root'
	@echo 'make chaos   1,000 kills of the agent at random moments; needs root'
	@echo 'make turnover   1,000 pods with a network, one after the other: nothing of them stays; needs root'
	@echo 'make bench   figures, beside those of other programs in the same run; needs root'
	@echo 'make mutants mutation testing of src/lifecycle; some half an hour'
	@echo 'make fuzz    hostile input of every kind, each for a minute (HOLDFAST_FUZZ seconds); needs root'
	@echo 'make man     manual pages, below target/man'
	@echo 'make lint    format and clippy, warnings are errors'
	@echo 'make deny    licences, bans and sources of the dependencies'
	@echo 'make cross TARGET=aarch64-unknown-linux-musl    a binary for another machine, by cross'

build:
	cargo build --locked --release --bin holdfast

demo: root build
	$(BINARY) demo

# cargo test comes last, so that its summary does. Stories mostly wait: hence one more of them at a time than there are cores.
test: root debian vm-short
	RUST_TEST_THREADS=$$(($$(nproc) + 1)) cargo test --locked --no-fail-fast

# Neither needs root.
dist:
	build/dist.sh

dist-check: dist
	build/dist-check.sh $(TARGET)

# Both kinds at a time, since the last step of each keeps one core only.
static:
	build/musl.sh $(MUSL)

# Emulated machines run the programs that dist/ has copies of; neither root nor KVM is needed.
vm-test: debian static
	tests/vm/run.sh
	tests/vm/managers.sh systemd openrc

vm-short: debian static
	tests/vm/run.sh virt short

power-cut: debian static
	tests/vm/power-cut.sh
	cp target/vm/power-cut.report tests/vm/power-cut.report

soak: root debian
	HOLDFAST_SOAK=2000 cargo test --locked --test kernel soak:: -- --nocapture

chaos: root debian
	HOLDFAST_CHAOS=1000 cargo test --locked --test kernel chaos:: -- --nocapture

turnover: root debian
	HOLDFAST_TURNOVER=1000 cargo test --locked --test kernel turnover:: -- --nocapture

bench: root debian build
	cargo build --locked --release --example workload --example bench
	target/$(TRIPLE)/release/examples/bench

mutants:
	tests/mutants.sh

fuzz: root
	fuzz/run.sh

man:
	cargo run --locked --quiet --example man target/man

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

deny:
	.ci/deny

cross:
	@test -n '$(TARGET)' || { echo 'which machine? make cross TARGET=aarch64-unknown-linux-musl' >&2; exit 1; }
	CROSS_CONFIG=cross.toml cross build --locked --release --bin holdfast --target $(TARGET)

# Programs that make the test images and the comparisons: unpacked below target/, never installed.
debian:
	tests/debian.sh

root:
	@test "$$(id -u)" = 0 || { echo 'this needs root: namespaces, mounts and cgroups are made for real' >&2; exit 1; }

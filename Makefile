# Every target says what it needs, and as root on Debian installs it. A newcomer brings Go, git and make.
#
#   make build       static binaries in build/
#   make demo        a tour: real tunnels, in network namespaces; where that can't be, make demo-kernel
#   make demo-kernel the tour on a real kernel with L2TP, in a virtual machine
#   make test        everything: test-unit, test-native, test-sim, test-mips, demo-kernel, test-vm, test-vm-386
#   make test-web    the page and LuCI's views in a browser; pictures of it in the folder PICTURES, if that is set
#   make test-race   the tests under Go's race detector
#   make bench       the table of figures, native (bench-native) and in the virtual machine
#   make packages    .ipk, .apk, .deb and .rpm in dist/, with a table of sizes (ARCH="x86_64 amd64": only those)
#   make test-packages  their layout, that they are reproducible, the dissector, dashboards and alerts, and the service under systemd on a Debian tree
#   make lint        gofmt, go vet, staticcheck, shellcheck
#   make size        cross-build the broker and hold it to the size budget
#   make soak        the simulated world for ten thousand hours of its time
#   make fuzz        every fuzz test for FUZZTIME (60s) each
#   make clean       remove build/, fetched kernels included

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unreleased)
FUZZTIME ?= 60s
# For a quick turn, tests by name on one kernel: make test-vm RUN=Harness VM_KERNEL=6.12
RUN     ?= .

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.6.1
# How to build for $$arch. 32-bit routers' programs are for flash: without inlining they are a tenth smaller as packed, and a keepalive of 4 µs takes 0.02 µs
# longer on a server. (Not for others: without inlining Go 1.26's runtime puts a variable of epoll's where mips64 can't write to it, and on 386
# a signal ends a process that began with it ignored, as every broker does that was upgraded.)
# For mips Go lays out for pages of 64 kB, which fills a file with up to 190 kB of nothing; its kernels have 4, at most 16.
# Nothing asks for a build ID, which is a hash that does not get smaller when it is packed.
# And without two things of Go 1.26: its new garbage collector, which is for large heaps, and a second copy of code for each slice whose length is known late,
# so that a short one needs no heap. That is 33 kB on mips, 18 kB as packed. Other versions may not know these settings.
FLAGS   := inline= round= lean=; case $$arch in mips|mipsle|arm) inline=-gcflags=all=-l; case $$($(GO) env GOVERSION) in go1.26|go1.26[.-]*) \
	inline='-gcflags=all=-l -d=variablemakethreshold=0' lean=GOEXPERIMENT=nogreenteagc ;; esac ;; esac; case $$arch in mips*) round='-R 0x4000' ;; esac
GOBUILD := env $$lean $(GO) build -trimpath -buildvcs=false $${inline:+"$$inline"} -ldflags "-s -w -buildid= $$round -X main.version=$(VERSION)"
NEED    := src/test/e2e/vm/need
VM      := src/test/e2e/vm/run
COMMANDS := tunneldigger-broker tunneldigger-client

# Size budget in bytes: the stripped program on mips, mipsle and arm, and, where flash counts most (mips, mipsle), the same as gzip -9 packs it (as an .ipk
# from OpenWrt's SDK does).
# src/README.md says what they consist of, and what costs how much.
SIZE_RAW    := 3500000
SIZE_PACKED := 1170000
# Others have larger words, or inlining, and room.
SIZE_OTHERS := 3900000

export CGO_ENABLED := 0
export GOMIPS := softfloat
export GOMIPS64 := softfloat
export GOARM := 5
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

.PHONY: build packages test-packages test test-unit test-sim soak test-race test-web test-386 test-mips test-native test-vm test-vm-386 demo bench bench-native lint size fuzz clean go build/bench.test
.NOTPARALLEL:

build: go
	@arch=$$($(GO) env GOARCH); $(FLAGS); for command in $(COMMANDS); do \
		echo "$$lean $(GO) build $$inline -o build/$$command ./src/cmd/$$command"; \
		$(GOBUILD) -o build/$$command ./src/cmd/$$command || exit 1; \
	done

# Go cannot be had from Debian 12 itself, whose version is too old.
go:
	@found=$$($(GO) env GOVERSION 2>/dev/null) || found=none; \
	case $$found in \
	go1.2[3-9]* | go1.[3-9][0-9]* | go[2-9]*) ;; \
	*) echo "make: Go 1.23 or newer is needed, found: $$found. Unpack one from https://go.dev/dl/ to /usr/local/go" >&2; exit 1 ;; \
	esac

# With smaller numbers in the virtual machine; make test-vm by itself has them in full.
test: SHORT := -short
test: test-unit test-native test-sim test-mips demo-kernel test-vm test-vm-386

test-unit: go
	@$(NEED) busybox-static lua5.1 tmux
	$(GO) test ./src/...

# What takes root, network namespaces and /dev/net/tun, but no other kernel: with smaller numbers. Programs that the tests start are taken from build/.
# Each test has a process and namespaces of its own and mostly waits, so three are played at once.
PLAY = began=$$(date +%s); out=$$("$$0" -test.short -test.run "^$$1\$$" -test.timeout 600s 2>&1) || { echo "$$out"; echo "FAIL $$1"; exit 1; }; \
	echo "ok   $$1 $$(($$(date +%s) - began))s"
test-native: build
	@$(NEED) busybox-static iproute2 iputils-ping
	@for folder in $$(grep -rl --include='*_test.go' '^//go:build.*native' src | xargs -n1 dirname | sort -u); do \
		test=$$PWD/build/$${folder##*/}-native.test; \
		echo "$(GO) test -tags native ./$$folder"; \
		$(GO) test -c -trimpath -tags native -o $$test ./$$folder || exit 1; \
		(cd $$folder && $$test -test.list '$(RUN)' | grep ^Test | xargs -P3 -I{} sh -c '$(PLAY)' $$test {}) || exit 1; \
	done

# Two thousand simulated networks, each with its own faults.
test-sim: go
	$(GO) test ./src/test/simulate -seeds 2000

# Ten thousand simulated hours; half an hour on two processors.
soak: go
	$(GO) test ./src/test/simulate -run '^TestFleet$$' -v -timeout 0 -hours 10000

# What runs side by side, under the race detector, which takes a C compiler. The core has no goroutines (src/architecture holds it to that) and
# would take longer than all the rest; a few simulated networks at once show whether its packages share anything.
test-race: go
	@$(NEED) gcc libc6-dev busybox-static lua5.1 tmux
	CGO_ENABLED=1 $(GO) test -race -vet=off $$($(GO) list ./src/... | grep -Ev '/src/(broker|test/simulate)$$')
	CGO_ENABLED=1 $(GO) test -race -vet=off ./src/test/simulate -seeds 20

# The tests as programs of 32 bits, of which many a virtual machine runs none. So this is no part of make test: there the same tests run for mips, and
# whole programs on a kernel. Of scripts and documents a processor knows nothing.
CODE := $$($(GO) list ./src/... | grep -Ev '/src/(architecture|packaging|test/simulate)$$')
test-386: go
	@$(NEED) busybox-static tmux
	GOARCH=386 $(GO) test $(CODE) ./src/test/simulate

# 32 bits and big-endian, under emulation.
test-mips: go
	@$(NEED) qemu-user-static busybox-static tmux
	GOARCH=mips $(GO) test -exec qemu-mips-static $(CODE)
	GOARCH=mips $(GO) test -exec qemu-mips-static ./src/test/simulate -seeds 20

# On Debian's default kernel, then on a second one, what depends on the kernel. In make test, with smaller numbers, a scenario of the whole is played once:
# on either kernel, by programs of 32 bits, or in test-native, if it is about what the broker decides.
ADAPTERS := Kernel|Library|Group|LinkLocal|ErrorQueue
SECOND   := ^Test(PathMTU|Limit|LoadNothingLost|LoadAllAtOnce|Identity|BridgesMade|OlderFiles)$$
WORD32   := ^Test(Foreign|Privileges|Status|Reload|Upgrade|LoadAllAtOnce)$$
DECIDED  := ^Test(Addresses|ComeLate|Deny|Flood|ForgedSenders|StatusDrain|UUIDPolicy)$$
test-vm: build
	src/test/e2e/vm/test $(SHORT) '$(RUN)' $(and $(SHORT),$(filter .,$(RUN)),'$(SECOND)|$(WORD32)|$(DECIDED)')
ifndef VM_KERNEL
	VM_KERNEL=6.12 src/test/e2e/vm/test -short '$(if $(filter .,$(RUN)),$(ADAPTERS)|OneTunnel|Upgrade|$(SECOND),$(RUN))'
endif

# Programs of 32 bits, as most routers have, on a kernel: an x86-64 one runs them as well.
test-vm-386: go
	@arch=386; $(FLAGS); for command in $(COMMANDS); do GOARCH=386 $(GOBUILD) -o build/386/$$command ./src/cmd/$$command || exit 1; done
	E2E_PROGRAMS=build/386 src/test/e2e/vm/test -short '$(if $(filter .,$(RUN)),OneTunnel|$(WORD32),$(RUN))'

packages: go
	@GO=$(GO) src/packaging/build $(ARCH)
	@src/packaging/emulate

# Wireshark's tshark is large, so what needs it is here and not in test-unit.
# The page's module by itself, the page in a browser, and LuCI's views with a stand-in for LuCI. Node.js and npm may be another than Debian's.
LUCI := $(MAKE) -s -C openwrt/luci-app-tunneldigger-broker TOPDIR=$(CURDIR)/src/packaging/openwrt PKG_BUILD_DIR=$(CURDIR)/build/luci/app DESTDIR=$(CURDIR)/build/luci/root
MODULES := playwright-core@1.65.1 axe-core@4.14.1
test-web: build
	@$(NEED) chromium $$(command -v npm >/dev/null || echo nodejs npm)
	node --test src/web/page
	npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix build/browser $(MODULES)
	$(GO) build -o build/tunneldigger-web ./src/cmd/tunneldigger-web
	rm -rf build/luci && $(LUCI) prepare && $(LUCI) install-luci-app-tunneldigger-broker
	LUCI=build/luci/root WEB=build/tunneldigger-web BROKER=$(CURDIR)/build/tunneldigger-broker CLIENT=$(CURDIR)/build/tunneldigger-client CHROMIUM=/usr/bin/chromium MODULES=$(CURDIR)/build/browser node --test src/web/browser

# Prometheus is Debian's, unpacked and never installed: that would start it as a service.
build/prometheus/usr/bin/prometheus:
	rm -rf build/prometheus && mkdir -p build/prometheus
	[ "$$(id -u)" != 0 ] || apt-get -qq update
	cd build/prometheus && apt-get -qq download prometheus && dpkg-deb -x prometheus_*.deb .

test-packages: go build/prometheus/usr/bin/prometheus
	@$(NEED) tshark jq
	$(GO) test -count=1 -tags wireshark -run 'Dissector|Filter' ./src/packaging
	PATH=$(CURDIR)/build/prometheus/usr/bin:$$PATH $(GO) test -count=1 -tags prometheus -run 'Dashboards|Alerts' ./src/packaging
	$(GO) test -count=1 -tags packages ./src/packaging
	src/packaging/trial/run

# Target-specific, so that the clock starts when make does.
demo demo-kernel: BEGAN := $(shell date +%s)
TOUR = $(GO) test -c -trimpath -buildvcs=false -o build/demo.test
TOURED = echo "It took $$(($$(date +%s) - $(BEGAN))) s, with build

# The tour: on the machine itself, in namespaces of its own, where root and /dev/net/tun are there, else with a kernel of its own.
demo: build
	@if [ "$$(id -u)" = 0 ] && (exec 3<>/dev/net/tun) 2>/dev/null && unshare -mnp true 2>/dev/null; then \
		$(NEED) busybox-static iproute2 iputils-ping && $(TOUR) -tags 'native demo' ./src/test/e2e && \
		build/demo.test -test.run '^TestDemo$$' -test.timeout 160s && $(TOURED)."; \
	else $(MAKE) --no-print-directory demo-kernel; fi

# The same with the kernel's own tunnels, in an emulated machine.
demo-kernel: build
	@$(TOUR) -tags 'vm demo' ./src/test/e2e
	@build/demo.test -test.list '^TestDemo$$' | grep -q TestDemo || { echo "make: TestDemo is gone from src/test/e2e"; exit 1; }
	@echo "Booting Linux in an emulated machine. Nothing outside it is changed."
	@VM_TIMEOUT=600 $(VM) build/demo.test -test.run '^TestDemo$$' -test.timeout 590s
	@$(TOURED) and boot."

build/bench.test: build
	@$(GO) build -o build/tunneldigger-web ./src/cmd/tunneldigger-web
	@$(GO) test -c -trimpath -buildvcs=false -tags 'vm bench' -o build/bench.test ./src/test/bench

bench-native: build/bench.test
	@build/bench.test -test.run '^TestNative' -test.timeout 900s

bench: bench-native
	@VM_TIMEOUT=900 $(VM) build/bench.test -test.run '^TestVM' -test.timeout 880s

lint: go
	@$(NEED) shellcheck
	@echo gofmt; files=$$(gofmt -l src); [ -z "$$files" ] || { echo "gofmt -w would change:"; echo "$$files"; exit 1; }
	$(GO) vet ./src/...
	$(GO) vet -tags 'vm demo bench packages wireshark prometheus native' ./src/...
	GOARCH=mips $(GO) vet -tags router ./src/...
	$(GO) run $(STATICCHECK) ./src/...
	$(GO) run $(STATICCHECK) -tags 'vm demo bench packages wireshark prometheus native' ./src/...
	@find src files openwrt .ci -type f -exec awk 'FNR == 1 && /^#!.*sh/ {print FILENAME} {nextfile}' {} + 2>/dev/null | \
		{ echo shellcheck; xargs -d '\n' shellcheck -x; }

size: go
	@$(NEED) xz-utils
	@printf '%-9s %10s %10s %10s\n' GOARCH bytes 'gzip -9' 'xz -9'; \
	over=0; \
	for arch in mips mipsle arm arm64 amd64 386 riscv64 mips64; do \
		file=build/size/tunneldigger-broker-$$arch; \
		$(FLAGS); GOARCH=$$arch $(GOBUILD) -tags router -o $$file ./src/cmd/tunneldigger-broker || exit 1; \
		raw=$$(wc -c <$$file); packed=$$(gzip -9c $$file | wc -c); \
		printf '%-9s %10d %10d %10d\n' $$arch $$raw $$packed $$(xz -9c $$file | wc -c); \
		case $$arch in mips | mipsle | arm) most=$(SIZE_RAW) ;; *) most=$(SIZE_OTHERS) ;; esac; \
		[ $$raw -le $$most ] && { [ $$packed -le $(SIZE_PACKED) ] || [ "$$round" = '' ] || [ $$arch = mips64 ]; } || over=1; \
	done; \
	printf '%-9s %10d %10d\n' budget $(SIZE_RAW) $(SIZE_PACKED); \
	[ $$over = 0 ] || { echo "over the budget"; exit 1; }

# A run that ends while an input is being tried can fail with "context deadline exceeded" and no input (a fault of
# the go command); only a run that names a failing input, or fails in another way, counts.
fuzz: go
	@mkdir -p build; \
	grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' src | while IFS=: read -r file func; do \
		echo "== $${func#func } in $${file%/*}, $(FUZZTIME)"; \
		$(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "./$${file%/*}" 2>&1 | tee build/fuzz.log; \
		grep -q '^ok' build/fuzz.log || \
			{ grep -q 'context deadline exceeded' build/fuzz.log && ! grep -q 'Failing input' build/fuzz.log; } || exit 1; \
	done

clean:
	rm -rf build dist

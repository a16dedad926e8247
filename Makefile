# SPDX-License-Identifier: GPL-2.0
# Short names for the host tool's commands; `make help` lists them.

XTASK := sh xtask/cargo.sh xtask

.PHONY: help demo demo-memory demo-ckpt test series bench modules modules_install

help:
	@echo 'make demo       two containers side by side, one of them refused at its limits'
	@echo 'make demo-memory'
	@echo '                a program that is refused memory in one, and killed in the other'
	@echo 'make demo-ckpt  programs that go on after the machine was booted again'
	@echo 'make test       all tests, on the host and in booted kernels'
	@echo 'make series     compose the mail-ready patch series'
	@echo 'make bench      what the series costs'
	@echo 'make KDIR=... M=$$PWD modules'
	@echo '                the modules, for a patched kernel that was built in KDIR'
	@echo 'cargo xtask --help lists everything else.'

demo test bench:
	@$(XTASK) $@

demo-memory demo-ckpt:
	@$(XTASK) demo $(@:demo-%=%)

series:
	@$(XTASK) series build

# What KDIR was built with has to be said here, too: LLVM=, ARCH=, RUSTC= and so on. Its clean would
# take the objects of cargo for its own.
modules modules_install:
	@test -n '$(KDIR)' || { echo 'say KDIR=, the build directory of a patched kernel' >&2; exit 2; }
	@$(MAKE) -C '$(KDIR)' M='$(CURDIR)' $@

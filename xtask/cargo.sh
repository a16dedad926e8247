#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Runs cargo with the given arguments, whichever cargo here can build the host tool. Where none
# can, or where it lacks a linker or certificates, Debian's packages are installed first, unless
# BEANPOD_NO_INSTALL=1.

set -eu

# As `rust-version` of the workspace says.
minimum=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "$0")/../Cargo.toml")

fail() {
	echo "error: $1" >&2
	echo "  fix: $2" >&2
	echo "reproduce: make $goal" >&2
	exit 4
}

# at_least VERSION MINIMUM
at_least() {
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

find_cargo() {
	for candidate in "$(command -v cargo || :)" "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin/cargo" \
		/usr/bin/cargo; do
		[ -x "$candidate" ] || continue
		version=$("$candidate" --version 2>/dev/null | cut -d ' ' -f 2) || continue
		if at_least "${version:-0}" "$minimum"; then
			echo "$candidate"
			return
		fi
	done
}

# The first package with a cargo that is new enough; Debian's stable releases carry one under
# another name, for their browsers.
cargo_package() {
	for package in cargo-web cargo; do
		version=$(LC_ALL=C apt-cache policy "$package" 2>/dev/null |
			sed -n 's/^  Candidate: \([0-9.]*\).*/\1/p')
		if [ -n "$version" ] && at_least "$version" "$minimum"; then
			echo "$package"
			return
		fi
	done
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

goal=${2:-help}
sudo=
[ "$(id -u)" = 0 ] || sudo='sudo '

# Sets what there is, what is missing, and what for.
look() {
	missing=
	why=
	cargo=$(find_cargo)
	if [ -z "$cargo" ]; then
		missing=CARGO
		why="a cargo of at least $minimum, which builds the host tool"
	fi
	if ! command -v cc >/dev/null; then
		missing="$missing gcc libc6-dev"
		why="${why:+$why; }a linker for host programs"
	fi
	if [ ! -e /etc/ssl/certs/ca-certificates.crt ] && [ -z "${SSL_CERT_FILE:-}" ]; then
		missing="$missing ca-certificates"
		why="${why:+$why; }certificates, to fetch crates"
	fi
}

look
if [ -n "$missing" ] && [ "${BEANPOD_NO_INSTALL:-}" != 1 ] && command -v flock >/dev/null; then
	# Another run may be installing the same; the host tool takes this lock too.
	lock=${BEANPOD_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/beanpod}/lock
	mkdir -p "$lock"
	exec 9>"$lock/setup"
	flock -n 9 || {
		echo "waiting for another cargo xtask (lock: setup) ..." >&2
		flock 9
	}
	look
fi

if [ -n "$missing" ]; then
	command -v apt-get >/dev/null ||
		fail "missing: $why" "install Rust $minimum or newer, a C compiler and CA certificates"
	if [ "${BEANPOD_NO_INSTALL:-}" = 1 ]; then
		package=$(cargo_package)
		packages=$(echo "$missing" | sed "s/CARGO/${package:-cargo}/")
		fail "missing, and BEANPOD_NO_INSTALL=1 forbids installing: $why" \
			"${sudo}apt-get update && ${sudo}apt-get install --no-install-recommends $packages"
	fi
	[ -z "$sudo" ] || command -v sudo >/dev/null ||
		fail "missing: $why; installing needs root, and there is no sudo" \
			"as root: apt-get update && apt-get install gcc libc6-dev ca-certificates cargo"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	as_root apt-get -q -o Acquire::Retries=3 update >"$log" 2>&1 9>&- ||
		echo "apt-get update failed; going on with the lists there are" >&2
	case $missing in
	CARGO*)
		package=$(cargo_package)
		[ -n "$package" ] ||
			fail "missing: $why; apt has none that is new enough" \
				"install Rust $minimum or newer with rustup"
		missing=$(echo "$missing" | sed "s/CARGO/$package/")
		;;
	esac
	missing=${missing# }
	echo "installing $missing: $why (about half a minute)" >&2
	# shellcheck disable=SC2086 # The list is made of words.
	if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Acquire::Retries=3 \
		-o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 \
		--no-install-recommends install $missing >"$log" 2>&1 9>&-; then
		tail -n 20 "$log" >&2
		fail "installing $missing failed" "run the same command again, or install them by hand"
	fi
	rm -f "$log"
	trap - EXIT
	cargo=$(find_cargo)
	[ -n "$cargo" ] || fail "no usable cargo even now" "install Rust $minimum or newer with rustup"
fi

# The lock ends here: the host tool may want it.
exec 9>&-
exec "$cargo" "$@"

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install the project's requirements: packages of the distribution, and a virtual environment in .venv.
# Usage: setup.sh [--list]. Takes under a second if everything is installed already.
set -eu
CDPATH='' cd -- "$(dirname "$0")/.."

exec 9<. # a second set-up in this folder waits for the first
flock 9

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 2; }

os_release=${MODCOMPAT_OS_RELEASE:-/etc/os-release} # the variable is for tests
release=unknown
if [ -r "$os_release" ]; then
	# shellcheck source=/dev/null
	release=$(. "$os_release"; echo "${ID:-unknown}-${VERSION_ID:-}")
fi

wanted() { # the packages for this machine's architecture and release
	here=$(dpkg --print-architecture 2>/dev/null || echo unknown)
	grep -v '^#' scripts/packages.txt | while read -r package conditions; do
		skip=
		for condition in $conditions; do
			case $condition in
			HOST/*) [ "${condition#HOST/}" != "$here" ] || skip=yes ;;
			ON/*) case ",${condition#ON/}," in *",$release,"*) ;; *) skip=yes ;; esac ;;
			*) break ;; # the purpose begins
			esac
		done
		[ -n "$skip" ] || echo "$package"
	done
}

case $release in
debian-12 | debian-13) supported=yes ;;
ubuntu-24.04)
	supported=yes
	say "set-up is written for Ubuntu 24.04 but was never tried there; please report how it goes"
	;;
*) supported= ;;
esac

if [ "${1:-}" = --list ]; then # print the packages and install nothing
	wanted
	exit
fi

if [ "${MODCOMPAT_SKIP_PACKAGES:-}" = 1 ]; then
	say "not looking at the system's packages (MODCOMPAT_SKIP_PACKAGES=1)"
elif [ -z "$supported" ]; then
	say "this is $release; set-up is written for Debian 12 and 13 and Ubuntu 24.04. Needed packages, by Debian's names:"
	grep -v '^#' scripts/packages.txt >&2
	fail "install these yourself, then run again with MODCOMPAT_SKIP_PACKAGES=1"
else
	missing=
	for package in $(wanted); do
		status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
		[ "$status" = installed ] || missing="$missing $package"
	done
	if [ -n "$missing" ]; then
		say "installing packages:$missing"
		as_root=
		if [ "$(id -u)" != 0 ]; then
			command -v sudo >/dev/null || fail "you are not root, and there is no sudo. Run as root: apt-get install$missing"
			as_root=sudo
		fi
		$as_root apt-get -q update || say "apt-get could not fetch some package lists; continuing with those it has"
		# shellcheck disable=SC2086
		$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing
	fi
fi

stamp=.venv/.complete
state=$(cat requirements.txt pyproject.toml scripts/setup.sh | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
	python=
	for candidate in /usr/bin/python3 python3; do
		if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			python=$candidate
			break
		fi
	done
	[ -n "$python" ] || fail "no Python 3.11 or later with venv"
	say "making .venv with $("$python" --version)"
	rm -f "$stamp"
	# Keep an environment of the same Python: it still works if nothing can be downloaded now.
	if [ "$(.venv/bin/python --version 2>/dev/null)" != "$("$python" --version)" ] ||
		! .venv/bin/python -m pip --version >/dev/null 2>&1; then # it was interrupted, say
		rm -rf .venv
		"$python" -m venv .venv
	fi
	.venv/bin/pip install -q --disable-pip-version-check -r requirements.txt
	.venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	printf '%s\n' "$state" >"$stamp"
	say "done; the command is .venv/bin/modcompat"
fi

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install what the project needs: Debian packages, and a virtual environment in .venv.
# Does nothing, in under a second, when all is there.
set -eu
CDPATH='' cd -- "$(dirname "$0")/.."

exec 9<. # of two that run at once, one waits
flock 9

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 2; }

wanted() { # the packages of this machine's architecture
	here=$(dpkg --print-architecture 2>/dev/null || echo unknown)
	grep -v '^#' scripts/packages.txt | while read -r package rest; do
		case $rest in
		"HOST/$here "*) ;;
		*) echo "$package" ;;
		esac
	done
}

. /etc/os-release
if [ "${ID:-}" != debian ] || [ "${VERSION_ID:-}" != 12 ]; then
	say "this is ${PRETTY_NAME:-an unknown system}; set-up is written for Debian 12. What is needed, by its Debian name:"
	grep -v '^#' scripts/packages.txt >&2
	if [ "${MODCOMPAT_SKIP_PACKAGES:-}" != 1 ]; then
		fail "install these yourself, then run again with MODCOMPAT_SKIP_PACKAGES=1"
	fi
else
	missing=
	for package in $(wanted); do
		status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
		[ "$status" = installed ] || missing="$missing $package"
	done
	if [ -n "$missing" ]; then
		say "installing Debian packages:$missing"
		as_root=
		if [ "$(id -u)" != 0 ]; then
			command -v sudo >/dev/null || fail "not root, and there is no sudo. As root: apt-get install$missing"
			as_root=sudo
		fi
		$as_root apt-get -q update || say "some package lists could not be fetched; going on with those that are there"
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
	# What is there goes on working where nothing can be fetched now.
	if [ "$(.venv/bin/python --version 2>/dev/null)" != "$("$python" --version)" ]; then
		rm -rf .venv
		"$python" -m venv .venv
	fi
	.venv/bin/pip install -q --disable-pip-version-check -r requirements.txt
	.venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	printf '%s\n' "$state" >"$stamp"
	say "done; the command is .venv/bin/modcompat"
fi

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install Debian's Chromium with its driver, and selenium in .venv, for the test of report.html in a browser.
# Nothing else in the project needs them.
set -eu
cd "$(dirname "$0")/.."

if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
	as_root=
	[ "$(id -u)" = 0 ] || as_root=sudo
	$as_root apt-get -q update
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends chromium chromium-driver
fi
.venv/bin/python -c 'import selenium' 2>/dev/null ||
	.venv/bin/pip install -q --disable-pip-version-check -r requirements-browser.txt

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Judge the modules of modcompat.toml in a CI job:
#   sh modcompat.sh          all of them on this machine, into results/all
#   sh modcompat.sh I N      part I of N, into results/I-N; findings do not fail this job, but the next one
#   sh modcompat.sh merge    the parts together, into results/all
#   sh modcompat.sh setup    set modcompat up, and remove parts of earlier runs: first of all, if jobs share a folder
# Exit status, as of modcompat: 0 all is well, 1 findings, 2 the run is not valid.
#
# MODCOMPAT_URL: the repository to clone unless modcompat is installed. MODCOMPAT_KERNELS: folder of the archives with
# built kernels, which the service has to keep between jobs [kernels]; empty: keep none.
set -eu
kernels=${MODCOMPAT_KERNELS-kernels}

program=modcompat/.venv/bin/modcompat
if command -v modcompat >/dev/null; then
	program=modcompat
elif [ ! -x "$program" ]; then
	[ -d modcompat ] || git clone --depth 1 "$MODCOMPAT_URL" modcompat
	make -C modcompat setup
fi

fetch_kernels() {
	[ -n "$kernels" ] || return 0
	mkdir -p "$kernels"
	if [ -f "$archive" ]; then "$program" cache import "$archive"; fi
}

keep_kernels() {
	[ -n "$kernels" ] || return 0
	"$program" cache export "$archive" || echo "$0: the kernels were not kept" >&2
}

case ${1-} in
setup)
	rm -rf results/[0-9]*-[0-9]* # of an earlier run
	exit 0
	;;
merge) exec "$program" merge results/[0-9]*-[0-9]* --run-dir results/all ;;
'') part='' name=all ;;
*) part=$1/$2 name=$1-$2 ;;
esac

archive=$kernels/modcompat-$name.tar
rm -rf "results/$name" # of an earlier run: what is missing must not be merged
fetch_kernels
status=0
"$program" check --manifest modcompat.toml --run-dir "results/$name" ${part:+--shard "$part"} || status=$?
keep_kernels
if [ -n "$part" ] && [ "$status" -eq 1 ]; then status=0; fi
exit "$status"

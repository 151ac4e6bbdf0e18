# SPDX-License-Identifier: GPL-2.0-only
# Functions for the `live` scripts, which source this file.

# fact NAME NUMBER WHAT: print one line of evidence; zero is a failure
fact() {
	local verdict=ok
	[ "${2:-0}" -gt 0 ] || verdict=FAILED
	echo "live $1 $verdict ${2:-0} $3"
}

tracing=/sys/kernel/tracing
instance=$tracing/instances/modcompat # has its own buffers

trace_start() {
	[ -e $tracing/tracing_on ] || mount -t tracefs tracefs $tracing
	mkdir -p $instance
	echo 64 >$tracing/buffer_size_kb
	for folder in $tracing $instance; do
		: >$folder/trace
		echo 1 >$folder/tracing_on
	done
}

# Tracers and events stay armed until the guest ends.
trace_stop() {
	echo 0 >$tracing/tracing_on
	echo 0 >$instance/tracing_on
}

# entries FOLDER: print the number of entries written to its buffers, including overwritten ones
entries() {
	cat "$1"/per_cpu/*/stats | awk '/^(entries|overrun):/ { sum += $2 } END { print sum + 0 }'
}

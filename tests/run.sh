#!/bin/sh
# Build and run the test programs, WORKERS of them side by side (some wait for
# most of their time), whatever becomes of the others, and add up what Check says
# of them. "make check" calls this from the top directory. What a program says
# comes in one piece when it has ended; until then a line now and then says what
# is running.
#
# program:2:3 is the second part of three of a program (see suite.h). FEWER is how
# many times fewer rounds a test has that takes long: 4 if nobody says 1.
#
#	sh tests/run.sh [program ...]	all of them, longest first

. tests/report.sh
[ $# -gt 0 ] || set -- tests/check_auth:1:3 tests/check_auth:2:3 \
    tests/check_auth:3:3 tests/check_pop3 tests/check_hostile \
    tests/check_mailbox tests/prove/update tests/check_crash \
    tests/check_small tests/prove/locks \
    tests/check_openbsd tests/check_illumos \
    tests/fuzz/update.replay tests/fuzz/accounts.replay \
    tests/fuzz/session.replay tests/fuzz/plain.replay \
    tests/fuzz/scan.replay tests/fuzz/record.replay tests/fuzz/index.replay
make=${MAKE:-make}
FEWER=${FEWER:-4}
export FEWER
workers=

out=${TMPDIR:-/tmp}/pop3d-check.$$
mkdir -m 711 "$out" || exit 1
at_end '[ -z "$workers" ] || kill $workers 2>/dev/null; wait; rm -rf "$out"'

# A disk costs the programs that write the most half of their time. They start no
# program, so memory may be mounted noexec; it must have room.
memory=$TMPDIR
if [ -z "$memory" ] && [ -w /dev/shm ] &&
    df -Pk /dev/shm | awk 'NR == 2 { exit $4 < 1000000 }'; then
	memory=/dev/shm
fi

# Make a program, or wait for the worker that makes it to run another part.
build() {	# program
	if mkdir "$out/$(basename "$1").built" 2>/dev/null; then
		$make -s "$1"
		echo $? > "$out/$(basename "$1").built/status"
	fi
	until [ -s "$out/$(basename "$1").built/status" ]; do
		sleep 1
	done
	return "$(cat "$out/$(basename "$1").built/status")"
}

# Become the program. check_auth wants the host's log, and makes accounts: it
# gets a host of its own.
start() {	# program, part
	[ -z "$2" ] || {
		PART=$2
		export PART
	}
	case $1 in
	*.replay)
		TMPDIR=$out exec "$1" tests/fuzz/corpus/"$(basename "$1" \
		    .replay)"/* ;;
	tests/check_auth)
		exec sh tests/alone.sh "$1" ;;
	tests/check_small)
		ASAN_OPTIONS=detect_leaks=1 TMPDIR=${memory:-/tmp} exec "$1" ;;
	tests/check_mailbox | tests/check_crash)
		TMPDIR=${memory:-/tmp} exec "$1" ;;
	*)	exec "$1" ;;
	esac
}

# Passed, failed and skipped, from what a program said and its exit status.
count() {	# program, its log, exit status
	figures=$(awk '/^[0-9]+%: Checks: / {
		gsub(",", ""); run += $3; bad += $5 + $7
	} END { print run + 0, bad + 0 }' "$2")
	run=${figures% *} bad=${figures#* }
	passed=$((run - bad))
	if [ "$run" -eq 0 ]; then
		echo "$1: no test was run (exit status $3)" >> "$2"
		bad=$((bad + 1))
	elif [ "$3" != 0 ] && [ "$bad" -eq 0 ]; then
		echo "$1: exit status $3" >> "$2"
		bad=1
	fi
	echo "$passed $bad $(grep -ci '^skip' "$2")"
}

# Take what nobody has taken yet, until nothing is left.
work() {
	pid=
	trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; exit 143' TERM
	for program; do
		name=$(basename "$program")
		mkdir "$out/$name.taken" 2>/dev/null || continue
		log=$out/$name.log
		began=$(date +%s) built=$began
		echo "== $program" > "$log"
		part=$(echo "$program" | sed -n 's|^[^:]*:\(.*\):|\1/|p')
		build "${program%%:*}" >> "$log" 2>&1 &
		pid=$!
		wait "$pid" && {
			built=$(date +%s)
			start "${program%%:*}" "$part" >> "$log" 2>&1 &
			pid=$!
			wait "$pid"
		}
		count "$program" "$log" $? > "$out/$name.new"
		ended=$(date +%s)
		echo "-- $program: $((built - began)) s to build," \
		    "$((ended - built)) s to run" >> "$log"
		cat "$log"
		mv "$out/$name.new" "$out/$name.figures"
	done
}

running() {	# programs
	for program; do
		name=$(basename "$program")
		[ -d "$out/$name.taken" ] && [ ! -e "$out/$name.figures" ] &&
		    printf ' %s' "$name"
	done
}

is_over() {
	for worker in $workers; do
		kill -0 "$worker" 2>/dev/null && return 1
	done
	return 0
}

[ "$FEWER" = 1 ] || echo "-- tests that take long do one round of $FEWER:" \
    "FEWER=1 does all"
n=0
while [ "$n" -lt "${WORKERS:-6}" ]; do
	work "$@" &
	workers="$workers $!"
	n=$((n + 1))
done
seconds=0
until is_over; do
	sleep 1
	seconds=$((seconds + 1))
	[ $((seconds % 10)) -ne 0 ] ||
	    echo "-- $seconds seconds, running:$(running "$@")"
done
wait

for program; do
	# a worker that was ended leaves none
	cat "$out/$(basename "$program").figures" 2>/dev/null || echo "0 1 0"
done > "$out/all"
awk '{ passed += $1; failed += $2; skipped += $3 } END {
	printf "%d passed, %d failed", passed, failed
	if (skipped > 0)
		printf ", %d skipped", skipped
	print ""
	exit failed > 0
}' "$out/all"

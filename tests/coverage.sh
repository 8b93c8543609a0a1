#!/bin/sh
# How much of the three source files "make check" runs: lines and branches.
# "make coverage" calls this from the top directory.
#
# clang's counters are in a file that is mapped (continuous mode), so that what
# a process did is counted even if it is confined, has changed its user, ends by
# _exit or is killed; gcov writes at the end, and would miss most of it. Behind
# a fork whose child does not return the parent's lines show 0: they are
# computed as those of both less the child's.

goal_lines=95 goal_branches=85

has()
{
	command -v "$1" >/dev/null 2>&1
}

for v in '' -14 -15 -16 -17 -18 -19; do
	has llvm-cov$v && has llvm-profdata$v && break
done
if ! has clang || ! has llvm-cov$v || ! has llvm-profdata$v; then
	echo "skip: coverage (needs clang, llvm-cov and llvm-profdata)"
	exit 0
fi

dir=${TMPDIR:-/tmp}/pop3d-coverage.$$
(umask 022 && mkdir "$dir" && mkdir -m 1777 "$dir/raw") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$dir/src" "$dir/src/tests" && cp Makefile ./*.c pop3.h "$dir/src" &&
    cp -R tests/*.c tests/*.sh tests/sessions "$dir/src/tests" || exit 1
[ ! -d tests/fuzz ] || cp -R tests/fuzz "$dir/src/tests" || exit 1
cd "$dir/src" || exit 1

profile=-fprofile-instr-generate=$dir/raw/%m-%p%c.profraw
if ! make CC=clang HARDENING= HARDENED_LINK= LDFLAGS="$profile" CFLAGS="-O1 -g \
    $profile -fcoverage-mapping -mllvm -runtime-counter-relocation" \
    check >"$dir/log" 2>&1; then
	cat "$dir/log"
	echo "0 passed, 1 failed"
	exit 1
fi
tail -n 1 "$dir/log"
llvm-profdata$v merge -o "$dir/all" "$dir"/raw/*.profraw 2>"$dir/log" || {
	cat "$dir/log"
	exit 1
}
set -- -instr-profile="$dir/all" ./pop3d
for program in tests/check_*; do
	[ -x "$program" ] && set -- "$@" -object "$program"
done
set -- "$@" pop3.c mailbox.c auth.c
echo "not run:"
llvm-cov$v show -show-instantiations=false "$@" 2>/dev/null | awk -F'|' '
	/^[^ ].*:$/ { file = $0; sub(/.*\//, "", file) }
	$2 ~ /^ +0$/ { print "\t" file $1 ":" $3 }' | expand
llvm-cov$v export -format=lcov "$@" 2>/dev/null | awk -F: \
    -v lines=$goal_lines -v branches=$goal_branches '
	function judge(what, hit, all, goal,	percent, ok) {
		percent = all > 0 ? 100 * hit / all : 0
		ok = percent >= goal
		printf "%-10s  %-8s %4d of %4d, %.1f %%, goal %d%s\n", file,
		    what, hit, all, percent, goal, ok ? "" : ": MISSED"
		if (ok) passed++; else failed++
	}
	$1 == "SF" { file = $2; sub(/.*\//, "", file) }
	{ value[$1] = $2 }
	$1 == "end_of_record" {
		judge("lines", value["LH"], value["LF"], lines)
		judge("branches", value["BRH"], value["BRF"], branches)
	}
	END {
		print passed + 0 " passed, " failed + 0 " failed"
		exit failed > 0 || passed == 0
	}'

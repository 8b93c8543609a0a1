#!/bin/sh
# Run every test program, whatever becomes of the others, and add up what
# Check says of them. "make check" calls this from the top directory.

out=${TMPDIR:-/tmp}/pop3d-check.$$
(umask 077 && mkdir "$out") || exit 1
trap 'rm -rf "$out"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

passed=0 failed=0 skipped=0
for program in tests/check_mailbox tests/check_small tests/check_auth \
    tests/check_pop3 tests/check_crash tests/check_hostile \
    tests/fuzz/scan.replay tests/fuzz/session.replay \
    tests/fuzz/update.replay tests/fuzz/accounts.replay \
    tests/fuzz/plain.replay tests/fuzz/record.replay; do
	case $program in
	tests/check_crash | tests/check_hostile)
		[ -e "$program" ] || continue ;;
	esac
	set -- "$program"
	if [ "$program" != "${program%.replay}" ]; then
		name=$(basename "$program" .replay)
		set -- env TMPDIR="$out" "$program" "tests/fuzz/corpus/$name"/*
	fi
	echo "== $program"
	# tee, so that the output can be watched; the status is tee's, so the
	# program's own takes another way.
	{ "$@" 2>&1; echo $? >"$out/status"; } | tee "$out/text"
	status=$(cat "$out/status")
	figures=$(awk '/^[0-9]+%: Checks: / {
		gsub(",", ""); run += $3; bad += $5 + $7
	} END { print run + 0, bad + 0 }' "$out/text")
	run=${figures% *} bad=${figures#* }
	passed=$((passed + run - bad))
	if [ "$run" -eq 0 ]; then
		echo "$program: no test was run (exit status $status)"
		bad=$((bad + 1))
	elif [ "$status" != 0 ] && [ "$bad" -eq 0 ]; then
		echo "$program: exit status $status"
		bad=1
	fi
	failed=$((failed + bad))
	skipped=$((skipped + $(grep -ci '^skip' "$out/text")))
done

if [ "$skipped" -gt 0 ]; then
	echo "$passed passed, $failed failed, $skipped skipped"
else
	echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]

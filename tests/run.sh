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
for name in mailbox small auth pop3 crash hostile; do
	program=tests/check_$name
	if [ "$name" = crash ] && [ ! -e "$program" ]; then
		continue
	fi
	echo "== $program"
	# tee, so that the output can be watched; the status is tee's, so the
	# program's own takes another way.
	{ "$program" 2>&1; echo $? >"$out/status"; } | tee "$out/text"
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

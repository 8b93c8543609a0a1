#!/bin/sh
# Run fuzz targets, each for some seconds: "make fuzz" calls this from the top
# directory. Inputs that reach something new are kept in tests/fuzz.tmp, and so
# is one that shows a fault. "merge" for the seconds takes over into the corpus
# what of the former reaches more than the corpus does. With FUZZ_SEED in the
# environment the inputs are the same ones each time.
#
#	sh tests/fuzz.sh seconds|merge tests/fuzz/scan.fuzz ...

. tests/report.sh
seconds=$1
shift
found=$PWD/tests/fuzz.tmp
mkdir -p "$found" || exit 1
# Mailboxes are written all the time: in memory, if that can be.
if [ -z "$TMPDIR" ] && [ -w /dev/shm ]; then
	TMPDIR=/dev/shm
	export TMPDIR
fi
make_tmp pop3d-fuzz

for program in "$@"; do
	name=${program##*/}
	name=${name%.fuzz}
	# Full names: a target leaves the directory.
	corpus=$PWD/tests/fuzz/corpus/$name
	mkdir -p "$found/$name"
	if [ "$seconds" = merge ]; then
		set -- -merge=1 "$corpus" "$found/$name"
	else
		set -- -max_total_time="$seconds" \
		    -dict="$PWD/tests/fuzz/$name.dict" \
		    "$found/$name" "$corpus"
	fi
	echo "== $program"
	: > "$tmp/began"
	TMPDIR=$tmp "$PWD/$program" -timeout=10 -max_len=4096 \
	    -artifact_prefix="$found/$name-" -print_final_stats=1 \
	    -seed="${FUZZ_SEED:-0}" "$@" \
	    >"$tmp/log" 2>&1
	if note $?; then
		grep -E 'DONE|number_of_executed|MERGE-OUTER: [0-9]+ new' \
		    "$tmp/log"
	else
		tail -n 60 "$tmp/log"
		echo "FAIL $name: $(grep -E 'does not hold|^SUMMARY' "$tmp/log" |
		    head -n 1)"
		# where only the output is kept, the input is in it
		find "$found" -name "$name-*-*" -newer "$tmp/began" \
		    -exec sh -c 'echo "input, in base64:" && base64 "$1"' - {} \;
	fi
done
sum_up

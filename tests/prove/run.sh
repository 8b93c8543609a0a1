#!/bin/sh
# What is proved by trying everything: "make prove", or some of the pieces by
# name. Each says what it has covered; the last line adds up.
#
#	sh tests/prove/run.sh [piece ...]	locks update

cd "$(dirname "$0")/../.." || exit 1
[ $# -gt 0 ] || set -- locks update
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0

note() {	# exit status, what it was
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "prove: FAILED: $2"
	fi
}

# A model with a mailbox.c of this text, which the sed commands change.
build() {	# source's name, [sed command ...]
	model=$1
	shift
	cp mailbox.c "$tmp/mailbox.c"
	for change; do
		sed "$change" "$tmp/mailbox.c" > "$tmp/changed.c"
		cmp -s "$tmp/changed.c" "$tmp/mailbox.c" && return 1
		mv "$tmp/changed.c" "$tmp/mailbox.c"
	done
	eval "${CC:-cc} $(make -s print-flags) -I. -w" \
	    '-DMAILBOX="<$tmp/mailbox.c>" -o "$tmp/$model"' \
	    "tests/prove/$model.c"
}

notices() {	# model, its arguments, what is broken, sed command
	build "$1" "$4"
	built=$?
	"$tmp/$1" $2 > "$tmp/out" 2>&1
	status=$?
	[ "$built" -eq 0 ] && [ "$status" -eq 1 ]
	note $? "nobody notices: $3"
}

prove_locks() {
	build locks
	note $? "the model of locks compiles"
	"$tmp/locks" -l ss
	note $? "two sessions"
	"$tmp/locks" sa ssn
	note $? "with an agent; over NFS"
	"$tmp/locks" -r sr
	note $? "two hosts"
	notices locks ss "a removal without flock" \
	    's/bsd_lock(fd, LOCK_EX | LOCK_NB) == 0 && is_still/is_still/'
	notices locks ss "a removal without another look" \
	    's/ == 0 && is_still(lock, &st))/ == 0)/'
	notices locks ss "a lock that went while it was opened" \
	    's/errno == ENOENT : fstat/0 : fstat/'
	notices locks ss "a lock of any age" 's/ || age < GONE_SECONDS)/)/'
	notices locks ss "a release without a look" \
	    's/^	if (is_ours(d, lock))$/	if (d->fd != -1)/'
	notices locks ss "a unique file that stays" 's/^	unlink(unique);$//'
}

prove_update() {
	build update
	note $? "the model of UPDATE compiles"
	"$tmp/update" -l
	note $? "UPDATE in large"
}

for piece; do
	case $piece in
	locks | update)
		"prove_$piece" ;;
	*)	note 1 "no such piece: $piece" ;;
	esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

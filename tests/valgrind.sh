#!/bin/sh
# valgrind, for what the sanitizers do not see: decisions made on memory that
# nobody set. The unit tests, and the program with what the transcripts' clients
# say; here only its silence counts, the answers are check_pop3's. About a
# minute; with "all", four more: the scan, and all of check_pop3's sessions.

. tests/report.sh
command -v valgrind > /dev/null || skip_all "valgrind is not installed"
make_tmp pop3d-valgrind

# Two rows of runs go side by side; what one writes lies in its directory.
row() {
	row=$tmp/$1
	mkdir -p "$row/logs"
	valgrind="valgrind -q --error-exitcode=99 --log-file=$row/logs/%p"
}

# Good is a program that says so, and no word from valgrind in any process. It
# says between dashes what it does not know itself: a newer kernel's calls.
say() {	# what, 0 or 1 for good or bad, text, output
	cat "$row"/logs/* 2> /dev/null | grep -v '^--[0-9]*-- ' > "$row/log"
	rm -f "$row"/logs/*
	echo "valgrind: $1: $3"
	[ "$2" -eq 0 ] && [ ! -s "$row/log" ]
	note $? || {
		tail -n 20 "$4"
		head -n 60 "$row/log"
	}
}

unit() {	# test program, case or nothing for all of them, CK_FORK
	env CK_FORK="$3" ${2:+CK_RUN_CASE="$2"} $valgrind "tests/check_$1" \
	    > "$row/out" 2>&1
	status=$?
	figures=$(grep '^[0-9]*%: Checks: ' "$row/out")
	say "check_$1, ${2:-all}" $status "${figures:-no figures}" "$row/out"
}

# What the client of a transcript says in its first session, to a mailbox of its
# own.
session() {	# transcript
	dir=$tmp/$(basename "$1" .txt)
	mkdir "$dir" && cd "$dir" || exit 1
	for i in 1 2 3; do
		printf 'From a@example.org Mon Nov 23 10:0%d:00 2026\n' $i
		printf 'Date: %d\nSubject: x\n\n.\nbody\n\n' $i
	done > mbox
	sed -n 's/^user: //p' "$1" > users
	chmod 600 users mbox
	options=$(sed -n "s|@|$PWD|; s/^options: //p" "$1")
	[ "$(id -u)" -ne 0 ] || chown -R 65534 .
	{
		sed -n '/^--$/q; s/^C: //p; s/^OK: //p; s/^ERR: //p' "$1"
		echo QUIT
	} | $as_nobody $valgrind "$pop3d" $options > answers 2>&1
	echo $? > status
}

sessions() {
	pop3d=$(pwd)/pop3d
	as_nobody=
	if [ "$(id -u)" -eq 0 ]; then
		# -p refuses root, and where it drops to, no log can be made.
		as_nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
		chmod 755 "$tmp" "$row" && chmod 1777 "$row/logs"
		cp "$pop3d" "$tmp/pop3d" && pop3d=$tmp/pop3d
	fi
	# Most of them wait for refusals: all at a time.
	for f in "$(pwd)"/tests/sessions/*.txt; do
		(session "$f") &
	done
	wait
	: > "$row/out"
	n=0 bad=0
	for d in "$tmp"/*/status; do
		n=$((n + 1))
		if [ "$(cat "$d")" != 0 ] ||
		    ! grep '^+OK' "${d%status}answers" > /dev/null; then
			bad=1
			echo "${d%/status}: status $(cat "$d")" >> "$row/out"
			head -n 3 "${d%status}answers" >> "$row/out"
		fi
	done
	[ "$n" -gt 10 ] || bad=1
	say "pop3d" $bad "$n sessions" "$row/out"
}

# check_pop3, whose program is valgrind's; it runs that as nobody by itself.
all_sessions() {
	printf '#!/bin/sh\nexec %s %s "$@"\n' "$valgrind" "$(pwd)/pop3d" \
	    > "$row/start"
	chmod 755 "$tmp" "$row" "$row/start" && chmod 1777 "$row/logs"
	POP3D=$row/start CK_TIMEOUT_MULTIPLIER=10 tests/check_pop3 \
	    > "$row/out" 2>&1
	say "pop3d by check_pop3" $? "$(grep '^[0-9]*%: ' "$row/out")" \
	    "$row/out"
}

row 1
sessions
unit pop3 statics yes
(
	row 2
	for case in open dotlock locks change update; do
		unit mailbox "$case" no
	done
	[ "$1" != all ] || unit mailbox "md5 and scan" no
) > "$tmp/text" 2>&1 &
unit auth options yes
unit auth processes yes
if [ "$1" = all ]; then
	unit auth accounts yes
	all_sessions
fi
wait
cat "$tmp/text"
sum_up

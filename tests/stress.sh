#!/bin/sh
# What no unit test shows: everybody at once on one mailbox, clients that stall
# or vanish, and sessions killed at every moment of QUIT, with the real program,
# real delivery agents and a real mail reader. "make stress" calls this from the
# top directory. Sessions of root mode are among them, if root calls it: a
# server of root's starts them for whoever asks.
#
#  SECONDS_EACH	how long everybody works; half of it the killing goes on
#		(default 30, which makes about three minutes)
#  ROUNDS	random images that tests/check_crash tries (default 100)
#  STRESS_DIR	where the mailboxes are, removed afterwards (default: a new
#		directory under TMPDIR or /tmp)
#  STRESS_KEEP	a directory that gets the mailboxes and logs of the stages
#		that count messages
#
# Started by root it goes on as nobody, but for that server.

seconds=${SECONDS_EACH:-30}
bin=$(pwd)
failed=0

if [ -z "$STRESS_INSIDE" ]; then
	for f in pop3d tests/stress_tool; do
		if [ ! -x "$f" ]; then
			echo "stress: no $f, use make stress"
			exit 2
		fi
	done
	dir=${STRESS_DIR:-${TMPDIR:-/tmp}/pop3d-stress.$$}
	(umask 077 && mkdir "$dir") || exit 2
	server=
	trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	cp pop3d tests/stress_tool tests/stress.sh "$dir" || exit 2
	if [ -x tests/check_crash ]; then
		ROUNDS=${ROUNDS:-100} tests/check_crash || failed=1
	fi
	mkdir "$dir/spool" "$dir/index" "$dir/empty" || exit 2
	STRESS_INSIDE=$dir SECONDS_EACH=$seconds STRESS_INDEX=$dir/index
	export STRESS_INSIDE SECONDS_EACH STRESS_INDEX
	if [ "$(id -u)" = 0 ]; then
		chown -R nobody "$dir" || exit 2
		# a session may not make a lock there, but its keeper
		chown "root:$(id -g nobody)" "$dir/spool" &&
		    chmod 2775 "$dir/spool" &&
		    chown root "$dir/empty" "$dir/index" "$dir/pop3d" &&
		    chmod 755 "$dir/empty" && chmod 1733 "$dir/index" || exit 2
		(umask 077 && : >"$dir/accounts") || exit 2
		for box in single everybody kill1 kill2 kill3 kill4; do
			echo "$box:{PLAIN}s:$(id -u nobody):12345::/:"
		done >>"$dir/accounts"
		(umask 077 && exec "$dir/stress_tool" serve "$dir/socket" \
		    "$dir/pop3d" -f "$dir/accounts" -m "$dir/spool/%u" \
		    -i "$dir/index/%u" -e "$dir/empty" -u 12346:12346) &
		server=$!
		STRESS_SERVER=$dir/socket
		export STRESS_SERVER
		while [ ! -S "$dir/socket" ]; do
			sleep 0.1
		done
		# no password, no shell of his: only the ids change
		(cd "$dir" && su -s /bin/sh nobody -c "sh ./stress.sh")
	else
		(cd "$dir" && sh ./stress.sh)
	fi
	[ $? = 0 ] || failed=1
	exit $failed
fi

# ---- As an ordinary user, in a directory of our own ----

bin=$STRESS_INSIDE
POP3D=$bin/pop3d
HOME=$bin
export POP3D HOME
cd "$bin" || exit 2
umask 077
[ -n "$STRESS_SERVER" ] || echo "skip: root mode (not root)"

# What a stage says is wrong is in its log.
judge()
{
	if grep -q '^F' log; then
		grep '^F' log | sed 20q
		echo "$1: FAULTS"
		failed=1
	elif [ "$2" != 0 ]; then
		echo "$1: exit status $2"
		failed=1
	else
		echo "$1: no fault"
	fi
	: >log
}

stage()
{
	mkdir "$bin/$1" && cd "$bin/$1" || exit 2
	: >log
}

has()
{
	command -v "$1" >/dev/null 2>&1
}

# ---- Clients that stall or vanish ----

stage stall
"$bin/stress_tool" stall
judge "clients that stall or vanish" $?

# ---- Killed ----

stage kill
# most of it is waiting, so four at once
for i in 1 2 3 4; do
	mkdir "$i"
	(cd "$i" && : >log && "$bin/stress_tool" kill "$bin/spool/kill$i" \
	    $((seconds / 2))) &
done
wait
cat ./*/log >log
judge "killed at random moments" 0
if ! has strace; then
	echo "skip: killed at every call (no strace)"
elif ! strace -o /dev/null true 2>/dev/null; then
	echo "skip: killed at every call (strace may not trace here)"
else
	for call in pwrite64 fsync ftruncate; do
		"$bin/stress_tool" strace "$bin/spool/kill1" \
		    $((seconds * 2 + 2)) $call
		judge "killed at every $call" $?
	done
fi

# ---- One lock alone ----

run()
{
	"$@" &
	running="$running $!"
}

# Wait for all, and see what became of the mail.
add_up()
{
	for pid in $running; do
		wait "$pid" || {
			echo "$1: exit status $?"
			failed=1
		}
	done
	running=
	# a killed session may have left its lock; the next one clears it
	printf 'QUIT\r\n' | "$POP3D" -p -m "$box" >/dev/null
	if [ -e "$box.lock" ]; then
		echo "$1: a lock is left: $(cat "$box.lock")"
		failed=1
	fi
	echo "$1:"
	sort log | sed -n 's/^S //p' | uniq -c | sed 's/^ */	/'
	"$bin/stress_tool" account "$box" || failed=1
	[ -z "$STRESS_KEEP" ] || cp -r . "$STRESS_KEEP"
}

stage single
box=$bin/spool/single
: >"$box"
running=
some=$((seconds / 3 + 1))
serial=0
for which in fcntl dotlock bsd; do
	serial=$((serial + 100000))
	run "$bin/stress_tool" deliver "$box" $some $serial $which
done
for i in 1 2 3 4; do
	run "$bin/stress_tool" visit "$box" $some
done
add_up "agents with one lock each"

# ---- Everybody at once ----

stage everybody
box=$bin/spool/everybody
: >"$box"
end=$(($(date +%s) + seconds))

# A program that takes a message on its standard input, as a loop: mail, or mbox
# if it wants the "From " line; first serial; the command. A failed delivery may
# have been one all the same.
deliver_by()
{
	form=$1 serial=$2
	shift 2
	while [ "$(date +%s)" -lt "$end" ]; do
		begun=$(date +%s)
		echo "d $serial" >>log
		if "$bin/stress_tool" $form "$serial" | "$@"; then
			echo "D $serial" >>log
		else
			echo "S failed: $1" >>log
		fi
		# some try again only after seconds, and have bad luck
		took=$(($(date +%s) - begun))
		[ $took -gt 35 ] && echo "S $1 took more than 35 seconds" >>log
		[ $took -gt 150 ] && echo "F $1 took $took seconds" >>log
		serial=$((serial + 1))
		sleep 0.1
	done
}

by_procmail()
{
	procmail -f stress@example.org LOCKSLEEP=1 LOCKTIMEOUT=1024 \
	    VERBOSE=off ORGMAIL="$box" ./procmailrc
}

by_maildrop()
{
	maildrop ./maildroprc
}

by_dotlockfile()
{
	dotlockfile -l -p -r 20 -i 1 "$box.lock" || return 1
	cat >>"$box"
	dotlockfile -u "$box.lock"
}

# A reader that trusts what it once read holds the dotlock all the time.
read_by_mailx()
{
	while [ "$(date +%s)" -lt "$end" ]; do
		if dotlockfile -l -p -r 20 -i 1 "$box.lock"; then
			printf 'type 1\ndelete 1\ntype 2\nquit\n' |
			    s-nail -:/ -S dotlock-disable -S crt=0 \
			    -S quiet -S screen=1000 -f "$box" >mailx.out 2>&1
			status=$?
			dotlockfile -u "$box.lock"
			# the first one's, if there was one
			n=$(sed -n 's/^serial 0*\([0-9]*\) .*/\1/p' \
			    mailx.out | sed 1q)
			if [ "$status" = 0 ] && [ -n "$n" ]; then
				echo "G $n" >>log
				echo "S mailx" >>log
			fi
		fi
		sleep 0.7
	done
}

printf 'DEFAULT=%s\nORGMAIL=%s\nMAILDIR=%s\nLOGFILE=/dev/null\n' "$box" \
    "$box" "$bin/everybody" >procmailrc
printf 'LOCKSLEEP=1\nto "%s"\n' "$box" >maildroprc
chmod 600 procmailrc maildroprc

run "$bin/stress_tool" deliver "$box" "$seconds" 100000
run "$bin/stress_tool" deliver "$box" "$seconds" 200000
run "$bin/stress_tool" rewrite "$box" "$seconds"
for i in 1 2 3 4 5; do
	run "$bin/stress_tool" visit "$box" "$seconds"
done
serial=300000
for program in procmail maildrop dotlockfile; do
	form=mail
	[ $program = dotlockfile ] && form=mbox
	if has $program; then
		run deliver_by $form $serial by_$program
	else
		echo "skip: delivery by $program (not installed)"
	fi
	serial=$((serial + 100000))
done
if has s-nail && has dotlockfile; then
	run read_by_mailx
else
	echo "skip: reading by mailx (s-nail or dotlockfile not installed)"
fi
add_up "everybody at once"

[ "$failed" = 0 ] && echo "stress: no fault" || echo "stress: FAULTS"
exit $failed

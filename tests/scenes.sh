# Scenes of a session on a file system, for filesystems.sh and nfs.sh. They say
# which file system ($fs), where the session finds the mailbox ($box), where the
# same disk can be prepared ($spool, $top), and who the user is ($uid, $gid).
. tests/report.sh
uid=65534
gid=65534

check() {	# what, command ...
	what=$1
	shift
	"$@"
	note $? || {
		echo "FAILED: $fs: $what"
		cat "$tmp/out"
	}
}

as_user() {
	setpriv --reuid "$uid" --regid "$gid" --clear-groups "$@"
}

# Commands from "|" to "|", as a client sends them.
commands() {
	printf '%s\n' "$1" | tr '|' '\n' | sed 's/$/\r/'
}

session() {	# commands
	commands "$1" | as_user timeout 40 "$tmp/pop3d" -p -m "$box" \
	    > "$tmp/out" 2>&1
}

# The n-th answer's first words, from 0: the greeting.
says() {	# n, words
	case $(grep -E '^(\+OK|-ERR)' "$tmp/out" | sed -n "$(($1 + 1))p") in
	"$2"*)	return 0 ;;
	esac
	return 1
}

message() {	# number
	printf 'From a@example.org Mon Jan  1 00:00:00 2024\n'
	printf 'Message-ID: <%s@example.org>\n\n%s\n\n' "$1" "$1"
}

own_spool() {
	chown "$uid:$gid" "$spool" "$spool/box" 2>/dev/null
}

fill_box() {
	rm -f "$spool"/* "$spool"/.pop3d* 2>/dev/null
	for i in 1 2 3; do
		message "$i"
	done > "$spool/box" && own_spool
}

has() {	# number ...
	for i; do
		[ "$(grep -c "^Message-ID: <$i@" "$spool/box")" = 1 ] || return 1
	done
}

is_clean() {
	[ "$(ls -A "$spool" | grep -v '^ballast')" = box ]
}

deletes_one() {
	fill_box
	session 'RETR 3|DELE 2|QUIT'
	check 'login, RETR, DELE and QUIT' says 3 '+OK'
	check 'the message comes' grep -q '^Message-ID: <3@' "$tmp/out"
	check 'two messages stay' has 1 3
	check 'one is gone' eval '! has 2'
	check 'nothing else is left' is_clean
}

respects_a_lock() {
	fill_box
	printf '%s:%s' $$ "$(hostname)" > "$spool/box.lock"
	( sleep 1; rm -f "$spool/box.lock" ) &
	session 'DELE 1|QUIT'
	wait $!
	check 'a lock that goes after a second' says 2 '+OK'
	check 'what was not named stays' has 2 3
}

deliver() {	# number ...
	printf 'DEFAULT=%s\nMAILDIR=%s\nLOCKSLEEP=1\n:0:\n%s\n' "$box" \
	    "${box%/*}" "$box" > "$tmp/rc"
	chmod 644 "$tmp/rc"
	for i; do
		message "$i" | as_user env HOME="$tmp" procmail "$tmp/rc"
	done > "$tmp/procmail" 2>&1
}

meets_procmail() {
	command -v procmail > "$tmp/out" || {
		echo "skipped: $fs: procmail is not installed"
		return
	}
	fill_box
	deliver 4 5 6 7 &
	session 'DELE 1|QUIT'
	wait $!
	check 'QUIT beside procmail' says 2 '+OK'
	check 'all that came is there' has 2 3 4 5 6 7
}

fill_disk() {
	cat /dev/zero 2>/dev/null > "$spool/ballast"
	( cat /dev/zero > "$top/ballast" ) 2>/dev/null
	n=0
	while [ "$n" -lt "$1" ] && true 2>/dev/null > "$top/ballast.$n"; do
		n=$((n + 1))
	done
	sync -f "$top"
}

deletes_on_a_full_disk() {	# files that use up its inodes, at most
	fill_box
	fill_disk "$1"
	session 'DELE 1|QUIT'
	check 'login on a full disk' says 0 '+OK'
	# a copy-on-write file system may have no room at all: then it says so
	if says 2 '+OK'; then
		check 'deleted on a full disk' eval '! has 1'
	else
		check 'an error is one' says 2 '-ERR [SYS/TEMP]'
		echo "$fs: full, QUIT says so"
	fi
	check 'what stays is whole on a full disk' has 2 3
	rm -f "$top"/ballast* "$spool/ballast"
}

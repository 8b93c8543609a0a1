#!/bin/sh
# A session on a small mailbox of its own: "make demo". With a terminal the
# person types; without one a short dialogue is run and shown.
# usage: sh tests/demo.sh program

program=${1:-./pop3d}
dir=
server=

clean_up() {
	[ -z "$server" ] || kill "$server" 2>/dev/null
	[ -z "$dir" ] || rm -rf "$dir"
	dir=
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

give_up() {
	echo "demo: $*" >&2
	exit 1
}

# Start the program. Root may not use -p, so for root the session runs as the
# account nobody, with one of the commands that change the account.
start() {
	case $how in
	self)	exec "$run" -p -m "$option" ;;
	setpriv)
		exec setpriv --reuid="$uid" --regid="$gid" --clear-groups \
		    "$run" -p -m "$option" ;;
	runuser)
		exec runuser -u nobody -- "$run" -p -m "$option" ;;
	su)	exec su -s /bin/sh nobody -c "exec '$run' -p -m '$option'" ;;
	esac
}

make_mailbox() {
	cat <<'END'
From anna@example.org Mon Mar  3 09:15:00 2025
Received: from mx.example.org by mail.example.net;
	Mon, 3 Mar 2025 09:15:00 +0000
From: Anna <anna@example.org>
To: you@example.net
Subject: Welcome
Date: Mon, 3 Mar 2025 09:14:58 +0000
Message-ID: <1@example.org>

This is the first of three messages. DELE 1 marks it, and QUIT
removes what is marked. RSET takes the mark back.

From bert@example.org Mon Mar  3 10:02:00 2025
Received: from mx.example.org by mail.example.net;
	Mon, 3 Mar 2025 10:02:00 +0000
From: Bert <bert@example.org>
To: you@example.net
Subject: A line with a dot
Date: Mon, 3 Mar 2025 10:01:31 +0000
Message-ID: <2@example.org>

The next line is a single dot and does not end the message:
.
It is sent as two dots, and the client takes one away.

From carla@example.org Mon Mar  3 11:47:00 2025
Received: from mx.example.org by mail.example.net;
	Mon, 3 Mar 2025 11:47:00 +0000
From: Carla <carla@example.org>
To: you@example.net
Subject: Last one
Date: Mon, 3 Mar 2025 11:46:12 +0000
Message-ID: <3@example.org>

TOP 3 1 shows the header and this line, but not the next one.
This is the next one.

END
}

# Make a directory below $1 and try a session there. It fails if no program may
# run from there (noexec), or if the account nobody cannot go there.
set_up() {
	dir=$1/pop3d-demo.$$
	if ! (umask 077 && mkdir "$dir") 2>/dev/null; then
		dir=
		return 1
	fi
	run=$program
	# % is special in -m
	option=$(printf '%s\n' "$dir/mailbox" | sed 's/%/%%/g')
	make_mailbox >"$dir/mailbox" && chmod 600 "$dir/mailbox" || return 1
	if [ "$how" != self ]; then
		run=$dir/pop3d
		cp "$program" "$run" && chmod 755 "$run" &&
		    chown "$uid:$gid" "$dir" "$dir/mailbox" || return 1
	fi
	case $(echo QUIT | (start) 2>/dev/null) in
	+OK*)	return 0 ;;
	esac
	return 1
}

# Try each way to change the account in each place.
find_place() {
	for how in $ways; do
		for place in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
			set_up "$place" && return 0
			clean_up
		done
	done
	return 1
}

# Send $1, show both sides, and read an answer; with $2 one of many lines.
ask() {
	printf '%s\r\n' "$1" >&3
	echo "client: $1"
	answer "$2"
}

hear() {
	IFS= read -r line <&4 || give_up "the server has gone"
	line=${line%"$cr"}
	echo "server: $line"
}

answer() {
	hear
	case $line in
	+OK*)	;;
	*)	give_up "that was not +OK" ;;
	esac
	first=$line
	while [ -n "$1" ] && [ "$line" != . ]; do
		hear
	done
}

dialogue() {
	cr=$(printf '\r')
	mkfifo "$dir/in" "$dir/out" || give_up "cannot make a pipe"
	(start) <"$dir/in" >"$dir/out" &
	server=$!
	exec 3>"$dir/in" 4<"$dir/out"
	answer
	ask STAT
	case $first in
	"+OK 3 "*) ;;
	*)	give_up "there are three messages" ;;
	esac
	ask LIST lines
	ask UIDL lines
	ask "RETR 1" lines
	ask QUIT
	wait "$server" || give_up "the server failed"
	server=
}

case $program in
*/*)	;;
*)	program=./$program ;;
esac
[ -x "$program" ] || give_up "$program is not there: run make"
ways=self
if [ "$(id -u)" = 0 ]; then
	uid=$(id -u nobody 2>/dev/null) || uid=65534
	gid=$(id -g nobody 2>/dev/null) || gid=65534
	ways=
	for tool in setpriv runuser su; do
		command -v "$tool" >/dev/null 2>&1 && ways="$ways $tool"
	done
fi
find_place || give_up "no session can be had here, not even as nobody"

if [ -t 0 ]; then
	echo "Type STAT, LIST, RETR 1, TOP 2 5, DELE 1, UIDL, CAPA or QUIT:"
	(start)
else
	dialogue
fi

# mpop, with and without pipelining, and over a Unix socket.

has_all mpop mpop || return
serve || return
user_dir mpop

# poll user pipelining keep "more settings"
poll()
{
	mkdir -p "$1/new" "$1/cur" "$1/tmp" && chown -R "$uid" "$1"
	cat >"$1.rc" <<END
account default
host 127.0.0.1
port $port
user $1
password $secret
auth user
tls off
pipelining $2
keep $3
received_header off
uidls_file $PWD/$1.uidls
delivery maildir $PWD/$1
$4
END
	chown "$uid" "$1.rc" && chmod 600 "$1.rc"
	as_user timeout 60 mpop -d -C "$1.rc"
}

delivered() { same_messages "$1" 1 2 3 4 5 6 7; }
new_one() { add "$1"; poll "$@" && [ "$(ls "$1/new" | wc -l)" = 8 ]; }

# session user pipelining "more settings"
session()
{
	fill "$1"
	check "pipelining $2: $3: all is fetched" poll "$1" "$2" on "$3"
	check "pipelining $2: octet for octet" delivered "$1"
	check "pipelining $2: the mailbox is left as it was" is_untouched "$1"
	check "pipelining $2: the second poll" poll "$1" "$2" on "$3"
	check "pipelining $2: brings nothing" delivered "$1"
	check "pipelining $2: a new message comes" new_one "$1" "$2" on "$3"
	check "pipelining $2: all is deleted" poll "$1" "$2" off "$3"
	check "pipelining $2: and gone" is_empty "$1"
	check "pipelining $2: reconnected" poll "$1" "$2" off "$3"
}

session mpopon on
session mpopoff off
session mpopauto auto 'auth plain'

# A Unix socket is as good as a pipe: passwords are taken with -s.
if has socat; then
	options="$options -s"
	socat "UNIX-LISTEN:$PWD/socket,fork,mode=666" \
	    "EXEC:'$POP3D $options',nofork" >socat.out 2>&1 &
	echo $! >>"$work/pids"
	wait_until [ -S socket ]
	session mpopsocket auto "socket $PWD/socket"
	check 'a Unix socket is logged as local' \
	    logged 'LOGIN, user=mpopsocket, ip=\[local\]'
else
	skip 'Unix socket: no socat'
fi

# mpop, with and without pipelining, and over a Unix socket.

prepare mpop || return
use_mpop
secure='stls tls'
course mpopon
pipelining=off
leaves mpopoff
deletes mpopoffall
pipelining=auto more='auth plain'
leaves mpopauto
deletes mpopautoall

# A Unix socket is as good as a pipe: passwords are taken with -s.
if has socat; then
	options="$options -s" more="socket $PWD/socket"
	socat "UNIX-LISTEN:$PWD/socket,fork,mode=666" \
	    "EXEC:'$POP3D $options',nofork" >socat.out 2>&1 &
	echo $! >>"$work/pids"
	wait_until [ -S socket ]
	leaves mpopsocket
	deletes mpopsocketall
	check 'a Unix socket is logged as local' \
	    logged 'LOGIN, user=mpopsocket, ip=\[local\]'
else
	skip 'Unix socket: no socat'
fi

# mpop, with and without pipelining, and over a Unix socket.

has_all mpop mpop || return
serve || return
user_dir mpop

# Settings: pipelining and more.
by_mpop()
{
	case $security in
	tls) ssl='tls on\ntls_starttls off\n' ;;
	stls) ssl='tls on\ntls_starttls on\n' ;;
	*) ssl='tls off\n' ;;
	esac
	mkdir -p "got/$1/new" "got/$1/cur" "got/$1/tmp"
	chown -R "$uid" "got/$1"
	[ "$2" = keep ] && keep=on || keep=off
	cat >"$1.rc" <<END
account default
host localhost
port $port
user $1
password $secret
auth user
$(printf "$ssl")
${security:+tls_trust_file $work/cert.pem}
pipelining $pipelining
keep $keep
received_header off
uidls_file $PWD/$1.uidls
delivery maildir $PWD/got/$1
$more
END
	chown "$uid" "$1.rc" && chmod 600 "$1.rc"
	as_user timeout 60 mpop -d -C "$1.rc"
}

poll=by_mpop these=$made secure='stls tls'
pipelining=on
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

# Superservers: each starts pop3d as root, for every connection one.

has_all superservers socat || return
unpacked
user_dir superservers
forged=203.0.113.66

has_package()
{
	find_package "$@" && return
	skip "$1: not installed"
	return 1
}

busybox_has()
{
	program=${BUSYBOX:-busybox}
	"$program" --list 2>/dev/null | grep -qx "$1" && return
	skip "busybox $1: no busybox that has it (Debian's has not)"
	return 1
}

# start kind: find and start it on the next port, or say why not.
start()
{
	bin=$work/bin/$1 conf=$PWD/$1.conf
	mkdir -p "$bin" && cp "$POP3D" "$bin/pop3d"
	next_port
	echo "127.0.0.1:$port stream tcp nowait.400 root $bin/pop3d pop3d" \
	    "$options" >"$conf"
	case $1 in
	xinetd)
		has_package xinetd xinetd &&
		    xinetd_with pop3 -e "s|/usr/local/sbin/pop3d|$bin/pop3d|" \
		    -e "/^{/a server_args = $options" ;;
	openbsd-inetd)
		has_package openbsd-inetd inetd &&
		    run_server "$program" -i "$conf" ;;
	inetutils-inetd)
		has_package inetutils-inetd inetutils-inetd &&
		    run_server "$program" -d --pidfile="$PWD/inetutils.pid" \
		    "$conf" ;;
	busybox-inetd)
		busybox_has inetd && run_server "$program" inetd -f "$conf" ;;
	busybox-tcpsvd)
		busybox_has tcpsvd && run_server "$program" tcpsvd -c 200 \
		    127.0.0.1 $port "$bin/pop3d" $options ;;
	tcpserver | socat)
		has_all $1 $1 && listen_with $1 "$bin/pop3d" $options ;;
	ipsvd)
		has_all ipsvd tcpsvd &&
		    listen_with tcpsvd "$bin/pop3d" $options ;;
	socat-pair)
		# Without -t, half a second after the client's last octet.
		run_server socat -t 20 \
		    "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" \
		    "EXEC:'$bin/pop3d $options'" ;;
	systemd)
		has_all systemd systemd-socket-activate &&
		    run_server systemd-socket-activate --inetd --accept \
		    -l 127.0.0.1:$port "$bin/pop3d" $options ;;
	esac
}

# What a superserver finds in its environment is not the client's address.
forge()
{
	export TCPREMOTEIP=$forged TCPREMOTEADDR="$forged:1" \
	    REMOTE_ADDR=$forged REMOTE_HOST=$forged \
	    SOCAT_PEERADDR=$forged SSH_CONNECTION="$forged 1 1 1"
}

# Two lines for each of the processes that serve a client: nothing they may
# print reaches him.
descriptors()
{
	find /proc/[0-9]*/exe -lname "$work/bin/$1/pop3d" |
	while read -r p; do
		readlink "${p%exe}fd/2"
	done
}

are() { descriptors "$1" >"$3" 2>/dev/null; [ "$(grep -c . "$3")" = "$2" ]; }

# dialogue, verifier and root; session and keeper
silent()
{
	{
		wait_until are "$1" 3 before
		printf 'USER %s\r\nPASS %s\r\n' "$2" "$secret"
		wait_until are "$1" 2 after
		printf 'QUIT\r\n'
	} | socat -t 20 - "TCP:127.0.0.1:$port" >held
	tail -n 20 before after held
	[ "$(grep -c . before)" = 3 ] && [ "$(grep -c . after)" = 2 ] &&
	    equal /dev/null "$(sort -u before after)" &&
	    equal 4 "$(grep -c '^+OK ' held)"
}

# Fifty, each from an address of its own, all logged in before one leaves, which
# is when somebody writes to the gate.
crowd()
{
	mkdir crowd && mkfifo gate || return
	i=1
	while [ $i -le 50 ]; do
		account_of $1c$i
		{
			printf 'USER %sc%d\r\nPASS %s\r\nSTAT\r\n' \
			    $1 $i "$secret"
			: <gate
			printf 'QUIT\r\n'
		} | socat -t 20 - "TCP:127.0.0.1:$port,bind=127.0.1.$i" \
		    >crowd/$i 2>&1 &
		i=$((i + 1))
	done
	wait_tries=300 wait_until all_in && status=0 || status=1
	exec 8<>gate
	wait
	exec 8<&-
	grep -l '^-' crowd/* | head -n 3 | xargs -r tail
	n=$(cat crowd/[0-9]* | grep -c '^+OK ')
	echo "in at once: $(grep -l '^+OK 0 0' crowd/* | wc -l), answers: $n"
	[ $status = 0 ] && [ "$n" = 250 ]
}
all_in() { [ "$(grep -l '^+OK 0 0' crowd/* 2>/dev/null | wc -l)" = 50 ]; }

# try_out kind user, in a directory of its own.
try_out()
{
	user_dir "superservers/$1"
	kind=$1 user=$2
	# Of a pair of sockets, only the environment knows the address.
	[ $kind = socat-pair ] || forge
	start "$kind" || return
	[ $kind != xinetd ] ||
	    check 'xinetd: a host that overdoes it shuts no other out' \
	    others_get_in
	serves $kind $user "TCP:127.0.0.1:$port,bind=127.0.0.9" $user ''
	check "$kind: the address is in the log" \
	    logged "LOGIN, user=$user, ip=\[127.0.0.9\]"
	check "$kind: descriptor 2 leads nowhere" silent $kind $user
	check "$kind: a wrong password" \
	    talk "TCP:127.0.0.1:$port,bind=127.0.0.8" <<END
S: [+]OK pop3d ready
C: USER $user
C: PASS wrong
S: -ERR \[AUTH\] .*
C: QUIT
END
	check "$kind: its address, whatever the environment says" \
	    logged "LOGIN FAILED, user=$user, ip=\[127.0.0.8\], reason=.*"
	check "$kind: fifty at once" crowd $user
}

# They run side by side, two at a time.
kinds='xinetd openbsd-inetd inetutils-inetd busybox-inetd busybox-tcpsvd
    tcpserver ipsvd socat socat-pair systemd'
i=0 last= before=
for kind in $kinds; do
	[ -z "$before" ] || wait "$before"
	before=$last
	i=$((i + 1)) port=$((port + 5))
	try_out $kind s$i >"$kind.said" 2>&1 &
	last=$!
done
wait
for kind in $kinds; do
	cat "$kind.said"
done
[ -z "$log" ] || check 'the forged address is never logged' \
    exits 1 grep -q $forged "$log"

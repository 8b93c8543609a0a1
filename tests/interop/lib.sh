# What the groups share. Sourced by run.sh, with work and here set.
#
# A group knows: group, its name; port, the next port it may try; POP3D; work;
# account, uid, gid: an ordinary user of its own whom all virtual users belong
# to; secret, everybody's password. It prints, by the functions below, lines
# that begin with ok, FAIL or SKIP.

umask 022
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
unset MAIL MAILDIR DISPLAY SSH_AUTH_SOCK http_proxy https_proxy all_proxy \
    ALL_PROXY HTTP_PROXY HTTPS_PROXY no_proxy
tests=$PWD/$here
xinetd_d=$PWD/xinetd.d
POP3D=$work/bin/pop3d
secret='pass word'		# with a space, as users may have it
base=$((20000 + ${account#pop3t} % 8000))
log=

ok() { echo "ok $group: $*"; }
skip() { echo "SKIP $group: $*"; }

has() { command -v "$1" >/dev/null 2>&1; }

# has_all what program ...: all are there, or name those that are not.
has_all()
{
	what=$1 missing=
	shift
	for p in "$@"; do
		has "$p" || missing="$missing $p"
	done
	[ "$what" = "$group" ] && what= || what="$what: "
	[ -z "$missing" ] || skip "${what}not installed:$missing"
	[ -z "$missing" ]
}

# check name command ...: what the command printed is shown if it fails.
check()
{
	name=$1
	shift
	# Said once, for all of them.
	[ "$1" = logged ] && [ -z "$log" ] && return
	if said=$("$@" 2>&1); then
		ok "$name"
	else
		echo "FAIL $group: $name"
		echo "$said" | tail -n 15 | sed 's/^/	/'
	fi
}

# equal wanted got
equal()
{
	[ "$1" = "$2" ] || { echo "wanted: $1"; echo "got: $2"; return 1; }
}

# exits status command ...
exits()
{
	wanted=$1
	shift
	"$@" && status=0 || status=$?
	[ $status = "$wanted" ] || { echo "exit $status, not $wanted"; return 1; }
}

# As the ordinary user, with little in the environment.
as_user()
{
	setpriv --reuid="$uid" --regid="$gid" --clear-groups env -i \
	    PATH="$PATH" HOME="$PWD" LC_ALL=C.UTF-8 TERM=vt100 \
	    USER="$account" LOGNAME="$account" "$@"
}

# in_time seconds command ...
in_time() { timeout -k 5 "$@" </dev/null; }

# A directory of the user's own, as the working directory.
user_dir()
{
	mkdir -p "$work/home/$1" && cd "$work/home/$1" &&
	    chown "$uid:$gid" . || exit 1
}

# ---- Ports and servers ----

# listens port: 0A is LISTEN, whatever the address.
listens()
{
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
	    grep -q "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$1") [0-9A-F:]* 0A "
}

# The next free port goes into port.
next_port()
{
	port=$((port + 1))
	while listens $port; do
		port=$((port + 1))
	done
}

wait_until()
{
	tries=${wait_tries:-150}
	while ! "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# started pid: it is stopped at the end, and the port answers.
started()
{
	echo "$1" >>"$work/pids"
	wait_until listens $port || { echo "nothing listens: $port" >&2; return 1; }
}

# The server that the clients talk to: any that works as expected.
find_listener()
{
	for l in tcpserver tcpsvd socat; do
		has $l && listener=$l && return
	done
	listener=none
}

# listen_with kind command ...: serve on the next port of 127.0.0.1.
listen_with()
{
	kind=$1
	shift
	next_port
	case $kind in
	tcpserver) exec tcpserver -HRl0 -c 200 127.0.0.1 $port "$@" ;;
	tcpsvd) exec tcpsvd -l0 -c 200 127.0.0.1 $port "$@" ;;
	socat) exec socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" \
	    "EXEC:'$*',nofork" ;;
	esac >"$work/home/listener.$port" 2>&1 &
	started $!
}

serve()
{
	if [ "$listener" = none ]; then
		skip "no tcpserver, tcpsvd or socat to serve it"
		return 1
	fi
	listen_with "$listener" "$POP3D" $options "$@"
}

# ---- Accounts and mail ----

# A dialogue's ids need no account: numbers do.
options="-u 64123:64123 -e $work/empty -f $work/passwd -m $work/spool/%u"

make_users()
{
	for u in fm fmkeep fmuidl fmlimit fmtop fmpipe fmwrong fmlock fmpass \
	    fmpassp mpopon mpopoff mpopauto mpopsocket gm gmtop mutt neomutt muttt \
	    neomuttt curl curlsasl poplib netpop3 apop snail alpine \
	    thunderbird k9 outlook outlookold ssh sshfm sshmutt stunnel stls \
	    stlscurl stlsfm pops3 nginx haproxy banned \
	    s1 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 s12; do
		echo "$u:{PLAIN}$secret:$uid:$gid::$work/home:"
	done >"$work/passwd"
	i=1
	while [ $i -le 50 ]; do
		echo "c$i:{PLAIN}$secret:$uid:$gid::$work/home:"
		i=$((i + 1))
	done >>"$work/passwd"
	chmod 600 "$work/passwd"
}

# The messages, as they are in the mailbox: each shows something that clients
# and servers have got wrong.
make_message()
{
	echo 'Return-Path: <sender@example.org>'
	printf 'Received: from a.example.org by b.example.org with ESMTP\n'
	printf '\tid %s; Mon, 5 Jan 2026 10:00:0%s +0000\n' "$1" "$1"
	echo 'From: Sender <sender@example.org>'
	echo 'To: user@example.net'
	echo "Subject: message $1"
	echo "Message-ID: <$1.interop@example.org>"
	echo 'Date: Mon, 5 Jan 2026 10:00:00 +0000'
	case $1 in
	1) printf '\nA short message.\n' ;;
	2) printf '\nDots:\n.\n..\n.x\n...\nand text:\n>From here\n\n.\n' ;;
	3) printf 'Content-Type: text/plain; charset=iso-8859-1\n'
	   printf 'Content-Transfer-Encoding: 8bit\n\n'
	   printf 'caf\351, \001\033[0m\177\200\377\n' ;;
	4) printf 'Status: RO\nX-Status: A\n\n' ;;
	5) printf '\n'; awk 'BEGIN { for (i = 0; i < 4000; i++)
	    print i, "the quick brown fox jumps over the lazy dog" }' ;;
	6) printf '\n\nBlanks at line ends  \n\t\n   \n\n\n\n' ;;
	# fetchmail breaks a line at the 8,192nd octet, others do not.
	7) printf '\n'; awk 'BEGIN { for (i = 0; i < 800; i++)
	    printf "0123456789"; print ""; for (i = 0; i < 8000; i++)
	    printf "."; print "" }' ;;
	esac
}

count_messages=7

make_messages()
{
	i=1
	while [ $i -le $count_messages ]; do
		make_message $i >"$work/messages/$i"
		{
			echo 'From sender@example.org Mon Jan  5 10:00:00 2026'
			cat "$work/messages/$i"
			# An empty body's empty line is the separator too.
			[ $i = 4 ] || echo
		} >>"$work/mbox"
		i=$((i + 1))
	done
}

# fill user: a fresh mailbox.
fill()
{
	rm -f "$work/spool/$1"
	cp "$work/mbox" "$work/spool/$1"
	chown "$uid:mail" "$work/spool/$1"
	chmod 660 "$work/spool/$1"
}

# fill_small user: messages 1 and 2.
fill_small()
{
	fill "$1"
	for i in 1 2; do
		echo 'From sender@example.org Mon Jan  5 10:00:00 2026'
		cat "$work/messages/$i"
		echo
	done >"$work/spool/$1"
}

# add user: one message more.
add()
{
	printf 'From a Mon Jan  5 10:00:00 2026\nSubject: added\n%s\n\nnew\n\n' \
	    "Message-ID: <$$.$1.added@example.org>" >>"$work/spool/$1"
}

is_empty() { [ -f "$work/spool/$1" ] && [ ! -s "$work/spool/$1" ]; }
is_untouched() { cmp "$work/mbox" "$work/spool/$1"; }

# left user: how many messages the mailbox has.
left() { grep -c '^From ' "$work/spool/$1"; }

# The messages of a directory are the wanted ones, whatever their names:
# same_messages directory number ...
same_messages()
{
	dir=$1
	shift
	(cd "$work/messages" && cksum "$@") | awk '{ print $1, $2 }' |
	    sort >"$dir.wanted"
	find "$dir" -type f -exec cksum {} + | awk '{ print $1, $2 }' |
	    sort >"$dir.got"
	diff "$dir.wanted" "$dir.got"
}

# ---- Transcripts ----

b64() { printf '%b' "$1" | openssl base64 -A; }

# A dialogue on standard input. C: is sent, S: is a pattern for one line, S+
# for the first of several that end with a dot. All is sent at once: the
# answers must come in order all the same. talk [socat address]
talk()
{
	cat >script
	sed -n 's/^C: \(.*\)$/\1\r/p' script >sent
	# No client closes its side early, and nginx takes it for the end.
	timeout 60 socat -t 0.2 -,ignoreeof "${1:-TCP:127.0.0.1:$port}" \
	    <sent >answers || return 1
	awk '
	function answer(   r) {
		if ((getline r <"answers") <= 0) {
			print "no answer for: " $0
			exit bad = 1
		}
		if (sub(/\r$/, "", r) == 0) {
			print "no CRLF: " r
			exit bad = 1
		}
		return r
	}
	/^S/ {
		want = substr($0, 4)
		got = answer()
		if (got !~ "^" want "$") {
			print "wanted: " want; print "got: " got
			exit bad = 1
		}
		while (/^S\+/ && got != ".")
			got = answer()
	}
	END {
		if (!bad && (getline r <"answers") > 0) {
			print "one line too many: " r
			bad = 1
		}
		exit bad
	}' script
}

# ---- The log ----

# Datagrams do not end in a newline; lines() puts one before each.
start_log()
{
	has socat || return 0
	[ -e /dev/log ] && return
	socat -u UNIX-RECV:/dev/log,mode=666 \
	    "OPEN:$work/log,creat,append" >"$work/log.err" 2>&1 &
	echo $! >>"$work/pids"
	[ -n "$INTEROP_SPACES" ] || : >"$work/made_log"
	wait_until [ -S /dev/log ] && log=$work/log
}

lines() { sed 's/<[0-9]\{1,3\}>[A-Z][a-z][a-z] [ 0-9][0-9] /\
&/g' "$log" | grep 'pop3d'; }

# logged pattern: a line of pop3d's that ends like this. It may need a moment.
logged()
{
	wait_tries=30 wait_until has_line "$1" ||
	    { echo "not in the log: $1"; lines | tail -n 5; return 1; }
}
has_line() { lines | grep -q -- "pop3d\(\[[0-9]*\]\)*: $1\$"; }

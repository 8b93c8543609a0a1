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
	    PATH="$PATH" HOME="$PWD" TMPDIR="$work/home" LC_ALL=C.UTF-8 \
	    TERM=vt100 USER="$account" LOGNAME="$account" "$@"
}

# in_time command ...: what a program may take, half a minute of which pop3d may
# wait for a lock. Five seconds are usual; at a load of 15, ten were seen.
patience=150
in_time() { timeout -k 5 $patience "$@" </dev/null; }

# secured plain stls tls: what stands for that which the client is to use.
secured()
{
	case $security in
	stls) echo "$2" ;;
	tls) echo "$3" ;;
	*) echo "$1" ;;
	esac
}

# A directory of the user's own, as the working directory.
user_dir()
{
	mkdir -p "$work/home/$1" && cd "$work/home/$1" &&
	    chown "$uid:$gid" . || exit 1
}

# A file of the user's own, which others may not read, from standard input.
user_file() { cat >"$1" && chmod 600 "$1" && chown "$uid" "$1"; }

# ---- Ports and servers ----

# listens port: 0A is LISTEN, whatever the address.
listens()
{
	grep -qs "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$1") [0-9A-F:]* 0A " \
	    /proc/net/tcp /proc/net/tcp6
}

# What run.sh fetches has come, or will not.
unpacked() { wait_tries=3000 wait_until [ -e "$work/unpacked" ]; }

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

# run_server command ...: it is stopped at the end, and listens on the port.
run_server()
{
	"$@" >"$work/home/server.$port" 2>&1 &
	echo $! >>"$work/pids"
	wait_until listens $port && return
	{
		echo "FAIL $group: nothing listens: $port"
		tail -n 15 "$work/home/server.$port" | sed 's/^/	/'
	} >&2
	return 1
}

# others_get_in [tls]: 130 connections of one host in a second, of which
# per_source lets in 20, shut no other host out. xinetd counts from the first
# connection on, for some seconds, so nobody may have come before. On a busy
# machine a second can be too short for them, but not each time.
others_get_in()
{
	python3 - "$port" "$@" <<'END'
import socket, ssl, sys, time

def connect(host):
    s = socket.socket()
    s.settimeout(20)
    s.bind((host, 0))
    s.connect(('127.0.0.1', int(sys.argv[1])))
    return s

def storm():
    begun = time.time()
    crowd = [connect('127.0.0.2') for i in range(20)]
    for i in range(110):
        connect('127.0.0.2').recv(1)
    took = time.time() - begun
    s = connect('127.0.0.3')
    if len(sys.argv) > 2:
        s = ssl._create_unverified_context().wrap_socket(s)
    greeting = s.recv(100)
    print(took, greeting)
    if not greeting.startswith(b'+OK'):
        sys.exit(1)
    return took

tries = 1
while storm() > 1:
    tries += 1
    if tries > 10:
        sys.exit('130 connections always took more than a second')
    time.sleep(12)
END
}

# The server that the clients talk to: any that works as expected.
find_listener()
{
	for l in tcpserver tcpsvd socat; do
		has $l && listener=$l && return
	done
	listener=none
}

# listen_with program command ...: serve on the next port of 127.0.0.1.
listen_with()
{
	with=$1
	shift
	[ $with != socat ] || { listen_at TCP 127.0.0.1 "$@"; return; }
	next_port
	case $with in
	tcpserver) run_server tcpserver -HRl0 -c 200 127.0.0.1 $port "$@" ;;
	tcpsvd) run_server tcpsvd -l0 -c 200 127.0.0.1 $port "$@" ;;
	esac
}

# listen_at protocol address command ...: socat serves on its next port.
listen_at()
{
	next_port
	at=$1-LISTEN:$port,bind=$2,reuseaddr,fork
	shift 2
	run_server socat "$at" "EXEC:'$*',nofork"
}

# meddle: how what it says is damaged (meddle.py). The interpreter itself: what
# is found first may be a wrapper, which takes a second.
meddle=$INTEROP_MEDDLE
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null)
serve()
{
	if [ "$listener" = none ]; then
		skip "no tcpserver, tcpsvd or socat to serve it"
		return 1
	fi
	listen_with "$listener" ${meddle:+"$python" "$tests/meddle.py" $meddle} \
	    "$POP3D" $options "$@"
}

# prepare program ...: how most groups begin. These are there, pop3d is served,
# and the working directory is one of the group's.
prepare() { has_all "$group" "$@" && serve && user_dir "$group"; }

# find_package package program: what run.sh fetches. Packages that exclude each
# other are in directories of their own.
find_package()
{
	program=$work/packages/$1/usr/sbin/$2
	[ -x "$program" ] || program=$(command -v "$2")
	[ -n "$program" ]
}

# xinetd_with file command ...: a file of xinetd.d as it is, but for its port and
# what these commands of sed make of it.
xinetd_with()
{
	file=$xinetd_d/$1
	shift
	sed -e 's/\(disable.*\)yes/\1no/' -e "/^{/a\\
		type = UNLISTED\\
		port = $port\\
		bind = 127.0.0.1" "$@" "$file" >xinetd.conf
	run_server "$program" -dontfork -f xinetd.conf \
	    -pidfile "$PWD/xinetd.pid"
}

# run_slapd directory user password: LDAP on the port, whose dc=example,dc=net has
# this user.
run_slapd()
{
	mkdir "$1/db"
	cat >"$1/slapd.conf" <<-END
		include /etc/ldap/schema/core.schema
		include /etc/ldap/schema/cosine.schema
		modulepath /usr/lib/ldap
		moduleload back_mdb
		pidfile $1/slapd.pid
		database mdb
		suffix "dc=example,dc=net"
		directory $1/db
		access to attrs=userPassword by anonymous auth
		access to * by * read
	END
	slapadd -f "$1/slapd.conf" <<-END || return
		dn: dc=example,dc=net
		objectClass: dcObject
		objectClass: organization
		o: example
		dc: example

		dn: uid=$2,dc=example,dc=net
		objectClass: account
		objectClass: simpleSecurityObject
		uid: $2
		userPassword: $3
	END
	run_server slapd -f "$1/slapd.conf" -h "ldap://127.0.0.1:$port" -d 0
}

find_stunnel()
{
	has stunnel && stunnel=stunnel || stunnel=stunnel4
	has_all "$1" "$stunnel"
}

# A certificate that clients can be told to trust.
make_certificate()
{
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" \
	    -out "$work/cert.pem" -days 2 -subj /CN=localhost \
	    -addext subjectAltName=DNS:localhost >/dev/null 2>&1
	(umask 077; cat "$work/key.pem" "$work/cert.pem" >"$work/pem")
}

# stunnel_with name: the settings from standard input, on the next port.
stunnel_with()
{
	next_port
	{
		printf 'foreground = yes\npid =\nsyslog = no\ndebug = 4\n'
		printf '[%s]\ncert = %s\naccept = 127.0.0.1:%s\n' \
		    "$1" "$work/pem" $port
		cat
	} >"$1.conf"
	run_server $stunnel "$1.conf"
}

# ---- Accounts and mail ----

# A dialogue's ids need no account: numbers do.
options="-u 64123:64123 -e $work/empty -f $work/passwd -m $work/spool/%u"

# account_of user: he can log in from now on.
account_of()
{
	grep -qs "^$1:" "$work/passwd" ||
	    echo "$1:{PLAIN}$secret:$uid:$gid::$work/home:" >>"$work/passwd"
}

# line character number: that many of it, and a newline.
line() { head -c "$2" /dev/zero | tr '\0' "$1"; echo; }

# The messages, as they are in the mailbox: each shows something that clients
# and servers have got wrong.
make_message()
{
	n=$1
	case $n in
	# The same three times.
	12 | 13) n=11 ;;
	esac
	if [ $n != 10 ]; then
		echo 'Return-Path: <sender@example.org>'
		printf 'Received: from a.example.org by b.example.org\n'
		printf '\twith ESMTP id %s; Mon, 5 Jan 2026 10:00:%02d +0000\n' \
		    $n $n
		echo "Message-ID: <$n.interop@example.org>"
		echo 'Date: Mon, 5 Jan 2026 10:00:00 +0000'
	fi
	echo 'From: Sender <sender@example.org>'
	echo 'To: user@example.net'
	echo "Subject: message $n"
	case $n in
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
	8) printf 'MIME-Version: 1.0\n'
	   printf 'Content-Type: multipart/mixed; boundary="=_1"\n\n'
	   printf -- '--=_1\n\nAn attachment of 200,000 octets.\n'
	   printf -- '--=_1\nContent-Type: application/octet-stream\n'
	   printf 'Content-Disposition: attachment; filename="zeros.gz"\n'
	   printf 'Content-Transfer-Encoding: base64\n\n'
	   awk 'BEGIN { for (i = 0; i < 200000; i++)
	    printf "%c", 33 + i * i % 93 }' | base64
	   printf -- '--=_1--\n' ;;
	9) printf '\n'; line x 70000; line . 9000; line y 65536 ;;
	10) printf '\nWithout Received, Message-ID and Date.\n' ;;
	11) printf '\nThe same three times.\n' ;;
	14) printf '\nA CR\rin the middle, \r\r and two.\n' ;;
	15) printf 'Subject: caf\303\251 \342\202\254 in plain UTF-8\n'
	    printf 'X-Long: folded\n\tby a tab\n  and by blanks,'
	    printf ' to <a@example.org>,\n <b@example.org>\n'
	    printf 'X-Empty:\nX-Blank: \n\nText.\n' ;;
	16) printf '\n'; line a 998; line b 999; line c 1000; line d 2500 ;;
	17) printf '\nText\nFrom 9:00 to 17:00 we are closed.\n'
	    printf '>From there\n>>From farther away\nQUIT\n+OK\n-ERR\n' ;;
	18) printf 'Content-Type: message/rfc822\n\nFrom: <a@example.org>\n'
	    printf 'Subject: within\n\nThe last line is a dot.\n..\n.\n' ;;
	esac
}

# As in the archive of a mailing list: many short ones, much alike.
make_talk()
{
	awk -v first=$1 -v last=$2 -v dir="$work/messages" 'BEGIN {
		split("alice hare hatter dormouse", who)
		for (i = first; i <= last; i++) {
			f = dir "/" i
			from = who[i % 4 + 1]; to = who[(i + 1) % 4 + 1]
			at = sprintf("%02d:%02d", 22 + i / 60, i % 60)
			print "Received: (from " from "@example.org) \n" \
			    "\tby example.org id " 3300 + i "\n\tfor " to \
			    "@example.org; Mon, 5 Jan 2026 " at ":02 +0100\n" \
			    "Date: Mon, 5 Jan 2026 " at ":01 +0100\n" \
			    "From: " from "  <" from "@example.org>\n" \
			    "Message-Id: <20260105." 3300 + i "@example.org>\n" \
			    "To: " to "  <" to "@example.org>\n" \
			    "Subject: Re: talk\n\nWhat " from " says." >f
			for (j = 0; j < i % 3; j++)
				print "And more of it, `" j "\047." >f
			close(f)
		}
	}'
}

# What only those read who can: all of them, and all but the talk.
few='1 2 3 4 5 6 7'
made="$few 8 9 10 11 12 13 14 15 16 17 18"
talks=$(seq -s ' ' 19 113)
these=$few

make_messages()
{
	for i in $made; do
		make_message $i >"$work/messages/$i"
	done
	make_talk 19 113
	printf 'Return-Path: <s@example.org>\nSubject: added\nMessage-ID: <added@example.org>\n\nnew\n' \
	    >"$work/messages/new"
	count_messages=7
	mbox $few >"$work/mbox"
	: >"$work/passwd" && chmod 600 "$work/passwd"
}

# mbox number ...: a mailbox of these messages.
mbox()
{
	for i in "$@"; do
		echo 'From sender@example.org Mon Jan  5 10:00:00 2026'
		cat "$work/messages/$i"
		# An empty body's empty line is the separator too.
		[ $i = 4 ] || echo
	done
}

# fill user [number ...]: a fresh mailbox, of his own group's messages if
# none are named. A copy of it is kept.
fill()
{
	filled=$1
	shift
	account_of "$filled"
	mbox ${*:-$these} >"$work/filled/$filled"
	rm -f "$work/spool/$filled"
	cp "$work/filled/$filled" "$work/spool/$filled"
	chown "$uid:mail" "$work/spool/$filled"
	chmod 660 "$work/spool/$filled"
}

# add user: one message more.
add() { mbox new | tee -a "$work/filled/$1" >>"$work/spool/$1"; }

is_empty() { [ -f "$work/spool/$1" ] && [ ! -s "$work/spool/$1" ]; }
is_untouched() { cmp "$work/filled/$1" "$work/spool/$1"; }

# left user: how many messages the mailbox has.
left() { grep -ac '^From sender@' "$work/spool/$1"; }
has_left() { [ "$(left "$2")" = "$1" ]; }

# is_message number file: as it was sent, with CRLF.
is_message()
{
	sed 's/$/'"$(printf '\r')"'/' "$work/messages/$1" | cmp - "$2"
}

# ---- Transcripts ----

b64() { printf '%b' "$1" | openssl base64 -A; }

# A dialogue on standard input: talk [socat address]. C: is sent. The greeting
# and each answer must be +OK, and be complete where a command's answer has
# several lines. Where more is known, the lines behind say it: S: is a pattern
# for one line, S+ for the first of several that end with a dot, S= the number
# of the message that follows +OK, octet for octet. All is sent at once: the
# answers must come in order all the same.
talk()
{
	cat >script
	sed -n 's/^C: \(.*\)$/\1\r/p' script >sent
	# No client closes its side early, and nginx takes it for the end.
	timeout 60 socat -t 0.2 -,ignoreeof "${1:-TCP:127.0.0.1:$port}" \
	    <sent >answers || return 1
	awk -v messages="$work/messages/" '
	function fail(text) {
		print text
		exit bad = 1
	}
	function answer(   r) {
		if ((getline r <"answers") <= 0)
			fail("no answer for: " said)
		if (sub(/\r$/, "", r) == 0)
			fail("no CRLF: " r)
		return r
	}
	function expect(want,   got) {
		got = answer()
		if (got !~ "^" want "$")
			fail("wanted: " want "\ngot: " got)
	}
	function rest() {
		while (answer() != ".")
			;
	}
	function same(file,   got, want) {
		while ((got = answer()) != ".") {
			sub(/^\./, "", got)
			if ((getline want <file) <= 0 || want "" != got "")
				fail("not in " file ": " got)
		}
		if ((getline want <file) > 0)
			fail("not in the answer: " want)
		close(file)
	}
	# What was sent last has no pattern.
	function settle() {
		if (!due)
			return
		expect("[+]OK.*")
		if (said ~ /^(CAPA|LIST|UIDL|AUTH|RETR .*|TOP .*)$/)
			rest()
	}
	BEGIN { due = 1; said = "the greeting" }
	/^C/ { settle(); said = substr($0, 4); due = 1 }
	/^S/ { due = 0 }
	/^S[:+]/ { expect(substr($0, 4)) }
	/^S\+/ { rest() }
	/^S=/ { expect("[+]OK .*"); same(messages substr($0, 4)) }
	END {
		if (!bad)
			settle()
		if (!bad && (getline r <"answers") > 0) {
			print "one line too many: " r
			bad = 1
		}
		exit bad
	}' script
}

# How a dialogue begins, with so many messages in the mailbox: log_in number
# user; of a pipe, without a user, the greeting says it.
log_in()
{
	[ -z "$2" ] || printf 'S: [+]OK pop3d ready\nC: CAPA\nC: USER %s\n' "$2"
	[ -z "$2" ] || printf 'C: PASS %s\n' "$secret"
	printf 'S: [+]OK .* %s messages, .*\n' "$1"
}

# finds number address user
finds()
{
	{
		log_in "$1" "$3"
		printf 'C: UIDL\nC: TOP 1 0\nC: QUIT\n'
	} | talk "$2"
}

# takes_one address user: of two messages, the second is read and the first
# deleted.
takes_one()
{
	{
		log_in 2 "$2"
		printf 'C: CAPA\nC: LIST\nC: RETR 2\nS= 2\nC: DELE 1\nC: QUIT\n'
	} | talk "$1"
}

# serves name mailbox address user [address of the second]: whatever lies
# between a client and pop3d, mail comes through it and is deleted.
serves()
{
	fill "$2" 1 2
	check "$1: login, retrieve, delete" takes_one "$3" "$4"
	check "$1: one is left" equal 1 "$(left "$2")"
	check "$1: the second login finds the result" \
	    finds 1 "${5:-$3}" "$4"
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
	wait_until has_line "$1" ||
	    { echo "not in the log: $1"; lines | tail -n 5; return 1; }
}
has_line() { lines | grep -q -- "pop3d\(\[[0-9]*\]\)*: $1\$"; }

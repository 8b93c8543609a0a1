#!/bin/sh
# How fast pop3d is, compared with popa3d, wc, cat and a program that prints a
# line. "make bench" calls this from the top directory; tests/bench.c measures.
#
#	ROWS	the rows that are wanted, by the names that the details begin
#		with (default: all)
#	ROUNDS	how often each pair is run (default 5)
#	QUICK	not empty: without the mailbox of a gigabyte
#	POP3D	the program that is measured (default ./pop3d)
#	POPA3D	where popa3d is (default: PATH and /usr/sbin)
#	DOVECOT	where its program for a session is (default: /usr/lib/dovecot
#		or /usr/libexec/dovecot)
#	MUSL_CC	what makes static programs with musl (default musl-gcc)
#	TMPDIR	where the mailboxes are; 2 GB, on the disk that matters
#
# popa3d needs root, accounts and a PAM service. They are made in a mount
# namespace of our own, so that nothing of this host is changed.

fail()
{
	echo "bench: $*" >&2
	exit 2
}

# ---- Outside: a directory, programs, mailboxes ----

# A free number above what systems give to people; nobody's files.
free_id()
{
	id=$1
	while getent passwd "$id" >/dev/null || getent group "$id" >/dev/null
	do
		id=$((id + 1))
	done
	echo "$id"
}

build()
{
	${CC:-cc} -std=c99 -O2 -Wall -Wextra -o "$dir/bench" tests/bench.c ||
	    fail "cannot build tests/bench.c"
	cat >"$dir/line.c" <<-'END'
		#include <stdio.h>

		int
		main(void)
		{
			return puts("+OK\r") == EOF;
		}
	END
	${CC:-cc} -O2 -o "$dir/line" "$dir/line.c" || fail "cannot build line.c"
	cp "${POP3D:-./pop3d}" "$dir/pop3d" &&
	    cp "$dir/pop3d" "$dir/pop3d.stripped" &&
	    strip "$dir/pop3d.stripped" ||
	    fail "no pop3d, or no strip"
}

# Debian's musl has no crypt(3). Then it is left out, which must be said.
build_static()
{
	musl=${MUSL_CC:-musl-gcc}
	if ! command -v "$musl" >/dev/null; then
		echo "skip: static binary (no $musl)"
		return
	fi
	mkdir "$dir/static" && cp Makefile *.c pop3.h "$dir/static" || exit 2
	cat >"$dir/static/crypt.c" <<-'END'
		char *crypt(const char *, const char *);
		char *
		crypt(const char *key, const char *salt)
		{
			return key == salt ? (char *)0 : (char *)0;
		}
	END
	for libs in '' crypt.o; do
		(cd "$dir/static" && $musl -c crypt.c && MAKEFLAGS= make \
		    CC="$musl" HARDENING= HARDENED_LINK=-static CFLAGS=-O2 \
		    LIBS="$libs" pop3d) >"$dir/static/log" 2>&1 || continue
		cp "$dir/static/pop3d" "$dir/static.stripped" &&
		    strip "$dir/static.stripped"
		STATIC=$dir/static.stripped
		[ -z "$libs" ] ||
		    echo "note: this musl has no crypt(3), so the static" \
		    "binary is without"
		return
	done
	echo "skip: static binary (it does not build):"
	sed 's/^/	/' "$dir/static/log"
}

# name messages octets [mixed]
mailbox()
{
	"$dir/bench" make "$dir/spool/benchbox-$1" "$2" "$3" $4 || exit 2
}

make_mailboxes()
{
	mailbox d 0 0
	mailbox a1 20 51200
	mailbox a10 200 51200
	mailbox a 2000 51200
	mailbox b1 1000 1024
	mailbox b10 10000 1024
	mailbox b 100000 1024
	mailbox e 100000 1024 mixed
	case " ${ROWS:-login-c} " in
	*" login-c"* | *" poll-c"* | *" news-c"*)
		if [ -z "$QUICK" ]; then
			mailbox c 20000 51200
		else
			echo "skip: login, 20,000 messages of 50 KB (QUICK)"
		fi ;;
	esac
	chmod 660 "$dir"/spool/*
}

# md5crypt, which both servers know, costs little.
hash='$1$bench$AS0z/2Ays0sZL0tMBlKdB.'

make_accounts()
{
	for box in a a1 a10 b b1 b10 c d e q; do
		tail=$BENCH_UID:$BENCH_UID:::
		echo "benchbox-$box:$hash:$tail" >&3
		echo "benchbox-$box:{PLAIN}opensesame:$tail" >&4
	done 3>"$dir/accounts" 4>"$dir/accounts.plain"
	chmod 600 "$dir/accounts" "$dir/accounts.plain"
}

# Mailboxes of its own, since it writes unique-ids into them, and its settings as
# its daemon hands them on. At the second login it has its index.
make_dovecot()
{
	mkdir "$dir/dovecot" || exit 2
	for box in b c d; do
		[ ! -e "$dir/spool/benchbox-$box" ] ||
		    cp --reflink=auto -p "$dir/spool/benchbox-$box" \
		    "$dir/dovecot" || exit 2
	done
	cat >"$dir/dovecot/conf" <<-END
		protocols = pop3
		log_path = /dev/null
		mail_location = mbox:$dir/dovecot/%u.d:INBOX=$dir/dovecot/%u
		mail_home = $dir/dovecot
		mail_uid = $BENCH_UID
		mail_gid = $BENCH_UID
		first_valid_uid = 1
		stats_writer_socket_path =
		ssl = no
	END
	{
		echo '#!/bin/sh'
		echo 'exec env -i USER="$USER" \'
		env -i PATH="$PATH" doveconf -f service=pop3 -m pop3 \
		    -c "$dir/dovecot/conf" -e /usr/bin/env | sed 's/$/ \\/'
		echo "$DOVECOT"
	} >"$dir/dovecot/run"
	chmod 755 "$dir/dovecot/run"
}

if [ -z "$BENCH_DIR" ]; then
	dir=$(mktemp -d "${TMPDIR:-/tmp}/pop3d-bench.XXXXXX") || exit 2
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	umask 022
	chmod 755 "$dir"
	mkdir "$dir/spool" "$dir/empty" "$dir/index" || exit 2
	chmod 1733 "$dir/index"
	STATIC=
	build
	build_static
	if [ "$(id -u)" = 0 ]; then
		BENCH_UID=$(free_id 64200)
		BENCH_DIALOGUE=$(free_id $((BENCH_UID + 1)))
	else
		BENCH_UID=$(id -u)
		BENCH_DIALOGUE=$BENCH_UID
	fi
	make_accounts
	make_mailboxes
	for p in "$DOVECOT" /usr/lib/dovecot/pop3 /usr/libexec/dovecot/pop3; do
		[ -x "$p" ] && break
	done
	DOVECOT=$p
	if [ -x "$DOVECOT" ]; then
		make_dovecot
	else
		echo "skip: Dovecot's side (not installed)"
		DOVECOT=
	fi
	if [ "$(id -u)" = 0 ]; then
		chown "$BENCH_UID:$BENCH_UID" "$dir"/spool/*
		[ -z "$DOVECOT" ] ||
		    chown -R "$BENCH_UID:$BENCH_UID" "$dir/dovecot"
		chmod 1777 "$dir/spool"
		chmod 711 "$dir"
	fi
	BENCH_DIALOGUE=$BENCH_DIALOGUE:$BENCH_DIALOGUE
	BENCH_DIR=$dir
	POP3D=$dir/pop3d
	sleep 3		# the mailboxes get old
	PATH=$PATH:/usr/sbin:/sbin
	POPA3D=${POPA3D:-$(command -v popa3d)}
	export BENCH_DIR BENCH_UID BENCH_DIALOGUE POP3D POPA3D DOVECOT STATIC \
	    PATH

	echo "machine: $(uname -sm), $(getconf _NPROCESSORS_ONLN) x$(sed -n \
	    's/^model name.*://p' /proc/cpuinfo | sed 1q), load$(uptime |
	    sed 's/.*average://')"

	[ "$(id -u)" = 0 ] || echo "skip: octets that QUIT writes, and logins" \
	    "in several processes (not root)"
	if [ -z "$POPA3D" ]; then
		echo "skip: popa3d's side (not installed)"
	elif [ "$(id -u)" != 0 ]; then
		echo "skip: popa3d's side (not root)"
		POPA3D=
	elif ! unshare -m true 2>/dev/null; then
		echo "skip: popa3d's side (no mount namespace: unshare -m)"
		POPA3D=
	else
		unshare -m sh tests/bench.sh
		exit
	fi
	"$dir/bench"
	exit
fi

# ---- In the namespace: what popa3d wants to find ----

# An /etc of our own, and not single files: a rename outside uncovers those.

set -e
dir=$BENCH_DIR
user=${BENCH_DIALOGUE%:*}
mkdir "$dir/etc" "$dir/lib" "$dir/lib/popa3d"
for name in ld.so.cache ld.so.conf ld.so.conf.d localtime login.defs \
    nsswitch.conf pam.d security; do
	[ ! -e "/etc/$name" ] || cp -RL "/etc/$name" "$dir/etc"
done
printf '@include common-auth\n@include common-account\n' \
    >"$dir/etc/pam.d/popa3d"
cat >"$dir/etc/passwd" <<END
root:x:0:0::/root:/bin/sh
popa3d:x:$user:$user::/:/bin/false
END
printf 'root:x:0:\nmail:x:8:\npopa3d:x:%s:\nbenchbox:x:%s:\n' "$user" \
    "$BENCH_UID" >"$dir/etc/group"
(umask 077 && echo 'root:*:18000:0:99999:7:::' >"$dir/etc/shadow")
for box in a a1 a10 b b1 b10 c d e q; do
	echo "benchbox-$box:x:$BENCH_UID:$BENCH_UID::/:/bin/sh" \
	    >>"$dir/etc/passwd"
	echo "benchbox-$box:$hash:18000:0:99999:7:::" >>"$dir/etc/shadow"
done
mount --bind "$dir/etc" /etc
mount --bind "$dir/spool" /var/mail
mount --bind "$dir/lib" /var/lib
set +e
if ! "$dir/bench" try d 2>"$dir/try"; then
	echo "skip: popa3d's side (nobody gets in: $(cat "$dir/try"))"
	POPA3D=
fi
exec "$dir/bench"

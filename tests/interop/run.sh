#!/bin/sh
# pop3d under real clients, superservers, tunnels and front ends.
#
# usage, as root, from the top directory: sh tests/interop/run.sh [group ...]
#
# Whatever of them is installed is run, what is not is named. The groups are
# the other files here; they run side by side. From the environment: POP3D, the
# program; BUSYBOX, one with inetd and tcpsvd; INTEROP_PLAIN=1, do without
# namespaces; INTEROP_OFFLINE=1, fetch no packages; INTEROP_KEEP=1, leave the
# directory; INTEROP_MEDDLE=how, damage what pop3d says (meddle.py): what a
# client's course is good for. Everything is on loopback. Where the system
# allows it all of it runs in namespaces of its own, with its own /dev/log and
# ports; elsewhere free ports are looked for, and the log is read only if
# nobody else has it.

here=tests/interop
# Those that take longest begin.
groups='thunderbird superservers claws sylpheed node javamail getmail fetchmail
tls readme mpop pop3el systems perl nmh movemail php fdm ssh selftest mutt
saslauthd rabid mailx banning libraries curl dialogues frontends'

skip_all()
{
	echo "SKIP all: $1"
	echo '0 passed, 0 failed, 1 skipped'
	exit 0
}

[ "$(id -u)" = 0 ] ||
    skip_all 'needs root, for accounts, uids and superservers'
for p in useradd setpriv openssl; do
	command -v $p >/dev/null ||
	    skip_all "$p is not installed, nothing works without it"
done
POP3D=${POP3D:-./pop3d}
if [ ! -x "$POP3D" ] || [ ! -r $here/run.sh ]; then
	echo "run.sh: no $POP3D: build it, and start in the top directory" >&2
	exit 1
fi

# The superservers exclude each other as packages, so they are unpacked side by
# side. It is done outside of the namespaces, which have no network, while the
# groups that need none of it run: lib.sh's unpacked waits for its end.
unpack()
{
	mkdir "$work/packages" && chmod 777 "$work/packages"
	command -v npm >/dev/null && timeout 60 npm install --ignore-scripts \
	    --prefix "$work/packages/node" node-pop3 yapople >/dev/null 2>&1 &
	for p in xinetd openbsd-inetd inetutils-inetd; do
		(cd "$work/packages" && apt-get -qq download $p &&
		    dpkg -x ${p}_*.deb $p) >/dev/null 2>&1
	done
	mkdir -p "$work/archives/partial"
	for p in xinetd openbsd-inetd python3-systemd python3-pyinotify; do
		apt-get -qq -y -o Dir::Cache::archives="$work/archives" \
		    -o Debug::NoLocking=1 --download-only install $p ||
		    : >"$work/unfetched"
	done >"$work/archives/out" 2>&1
	[ ! -e "$work/unfetched" ] || rm -r "$work/archives"
	wait
	: >"$work/unpacked"
}

# In namespaces all processes have ended with the first one.
finish()
{
	trap '' HUP INT TERM
	wait
	[ -s "$work/pids" ] && [ -z "$INTEROP_SPACES" ] &&
		kill $(cat "$work/pids") 2>/dev/null
	# A server's children may need a moment to see it.
	[ -n "$made_account" ] && sleep 1 && userdel "$account" 2>/dev/null
	[ -n "$made_run_sshd" ] && rmdir /run/sshd 2>/dev/null
	[ -e "$work/made_log" ] && rm -f /dev/log
	if [ -n "$INTEROP_KEEP" ]; then
		echo "left in $work" >&2
	else
		rm -rf "$work"
	fi
}

if [ -z "$INTEROP_WORK" ]; then
	work=$(mktemp -d "${TMPDIR:-/tmp}/interop.XXXXXX") || exit 1
	made_account= made_run_sshd=
	trap 'exit 1' HUP INT TERM
	trap finish EXIT
	chmod 755 "$work"
	mkdir "$work/bin" "$work/home" "$work/spool" "$work/empty" \
	    "$work/out" "$work/messages" "$work/filled"
	chgrp mail "$work/spool" && chmod 2775 "$work/spool" || exit 1
	cp "$POP3D" "$work/bin/pop3d" || exit 1
	account=pop3t$$
	useradd -d "$work/home" -M -s /bin/sh \
	    -p "$(openssl passwd -6 secret)" "$account" || exit 1
	made_account=1
	chown "$account" "$work/home"
	if [ ! -d /run/sshd ]; then
		mkdir -p /run/sshd && made_run_sshd=1
	fi
	[ -n "$INTEROP_OFFLINE" ] && : >"$work/unpacked" || unpack &
	if [ -z "$INTEROP_PLAIN" ] && command -v ip >/dev/null &&
	    unshare -mnpf --mount-proc true 2>/dev/null; then
		INTEROP_SPACES=1
	else
		INTEROP_SPACES=
	fi
	export INTEROP_WORK="$work" INTEROP_SPACES account
	${INTEROP_SPACES:+unshare -n sh tests/alone.sh} sh $here/run.sh "$@"
	exit
fi
work=$INTEROP_WORK

trap 'exit 1' HUP INT TERM
. $here/lib.sh
. $here/course.sh
uid=$(id -u "$account") gid=$(id -g "$account")
if [ -n "$INTEROP_SPACES" ]; then
	ip link set lo up
	ip address add 192.0.2.7/32 dev lo	# a peer that is not loopback
	# Clients that make sure of each message wait for no disk.
	for d in home spool; do
		cp -a "$work/$d" "$work/$d.was" &&
		    mount -t tmpfs none "$work/$d" &&
		    chown --reference="$work/$d.was" "$work/$d" &&
		    chmod --reference="$work/$d.was" "$work/$d"
	done
fi
start_log
make_messages
make_certificate
find_listener

echo "pop3d: $("$POP3D" -V), $(uname -sm), namespaces: ${INTEROP_SPACES:-0}"
[ -n "$log" ] || echo 'SKIP log: no socat, or /dev/log is taken: the lines' \
    'that pop3d logs are not checked' | tee "$work/out/log"
# They wait more than they work: some more at once than there are processors.
# Each takes a line from the pipe and puts it back.
mkfifo "$work/slots" && exec 9<>"$work/slots" || exit 1
jobs=${INTEROP_JOBS:-$(($(nproc 2>/dev/null || echo 2) + 6))}
seq "$jobs" >&9
run_group()
{
	read -r slot <&9
	began=$(date +%s)
	(. "$tests/$group.sh"; exit 0) 9<&- && status=0 || status=$?
	echo "$slot" >&9
	echo "== $group: $(($(date +%s) - began)) s"
	return $status
}
n=0
for group in ${*:-$groups}; do
	n=$((n + 1))
	(port=$((base + 100 * n)); cd "$work/home" && run_group) \
	    >"$work/out/$group" 2>&1 &
	eval "pid_$group=$!"
done
for group in ${*:-$groups}; do
	eval "wait \$pid_$group" ||
		echo "FAIL $group: ended early" >>"$work/out/$group"
	cat "$work/out/$group"
done
[ -n "$INTEROP_KEEP" ] && [ -n "$log" ] && cat "$log" >"$work/log.txt"

count() { cat "$work"/out/* | grep -c "^$1 "; }
failed=$(count FAIL)
echo "$(count ok) passed, $failed failed, $(count SKIP) skipped"
[ "$failed" = 0 ]

#!/bin/sh
# Run a command where it can do no harm and nothing disturbs it: processes of
# its own, which all end with it; a /dev with nothing but the usual devices, so
# that /dev/log is free; a copy of /etc, so that accounts can be made; a TMPDIR
# in memory. Without root, or where unshare(1) does not work, it is just run.

if [ "$1" = --inside ]; then
	room=$2
	shift 2
	mount -t tmpfs -o mode=755,size=2g tmpfs "$room" || exit 125
	mkdir "$room/dev" "$room/dev/shm" "$room/dev/pts" "$room/tmp" &&
	    chmod 1777 "$room/tmp" || exit 125
	for f in null zero full random urandom tty; do
		: > "$room/dev/$f"
		mount --bind /dev/$f "$room/dev/$f" || exit 125
	done
	for d in shm pts; do
		[ ! -d /dev/$d ] || mount --bind /dev/$d "$room/dev/$d"
	done
	cp -a /dev/ptmx "$room/dev/ptmx"
	ln -s /proc/self/fd "$room/dev/fd"
	for f in stdin:0 stdout:1 stderr:2; do
		ln -s "fd/${f#*:}" "$room/dev/${f%:*}"
	done
	# somebody may just be making an account: a file is there and then not
	mkdir "$room/etc" &&
	    { cp -a /etc/. "$room/etc" || cp -a /etc/. "$room/etc"; } &&
	    mount --bind "$room/etc" /etc &&
	    mount --rbind "$room/dev" /dev || exit 125
	TMPDIR=$room/tmp "$@"
	exit
fi

room=$(mktemp -d) && chmod 755 "$room" || exit 125
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; wait; rmdir "$room"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if [ "$(id -u)" -eq 0 ] && unshare -pfm --mount-proc true 2>/dev/null; then
	unshare -pfm --mount-proc --kill-child sh "$0" --inside "$room" "$@" &
else
	"$@" &
fi
# A shell that waits is not deaf to signals.
pid=$!
wait "$pid"
status=$?
pid=
exit $status

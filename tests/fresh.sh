#!/bin/sh
# README's first two commands, word for word, where nothing of them is installed
# yet: in fresh folders of Debian that debootstrap makes, by root under a path
# with a blank in /root, which nobody else may enter, and what they do behind
# apt-get by an ordinary user.
# For root, and takes minutes. Ends in `N passed, N failed`.
#
#	sh tests/fresh.sh [suite ...]		stable and oldstable

[ $# -gt 0 ] || set -- stable oldstable
. tests/report.sh
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap > /dev/null; then
	skip_all "fresh: it needs root and debootstrap"
fi
# the same source that this host has its packages from
mirror=$(apt-get indextargets --format '$(URI)' 'Created-By: Packages' |
    sed -n 's|/dists/.*||p' | head -n 1)
demo=$(sed -n 's/^ *\(apt-get update && .* make demo\)$/\1/p' README)
check=$(sed -n 's/^ *\(apt-get update && .* make check\)$/\1/p' README)
make_tmp pop3d-fresh
at_end 'rm -rf --one-file-system "$tmp"'
chmod 755 "$tmp"

# In the folder, with processes and a /proc of its own that end with it.
inside() {	# command
	unshare -pfm --kill-child sh -c \
	    'mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/dev/shm" &&
	    exec chroot "$1" env -i DEBIAN_FRONTEND=noninteractive \
	    PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "$2"' sh "$root" "$1"
}

say() {	# suite, what, command
	began=$(date +%s)
	text=ok
	inside "$3" > "$tmp/log" 2>&1 < /dev/null
	note $? || {
		grep -E ':[FE]:' "$tmp/log" || tail -n 30 "$tmp/log"
		text=FAILED
	}
	figures=$(grep -E '^[0-9]+ passed' "$tmp/log" | tail -n 1)
	warned=$(grep -c 'warning: .*\[-W' "$tmp/log")
	echo "fresh: $1: $2: $text, $(($(date +%s) - began)) s," \
	    "$warned warnings${figures:+, $figures}"
}

for suite; do
	root=$tmp/$suite
	if ! debootstrap --variant=minbase "$suite" "$root" "$mirror" \
	    > "$tmp/log" 2>&1; then
		tail -n 5 "$tmp/log"
		echo "skipped: fresh: $suite: debootstrap failed"
		continue
	fi
	mkdir -p "$root/root/a b/pop3d" && chmod 700 "$root/root"
	cp -R Makefile README ./*.c pop3.h tests xinetd.d "$root/root/a b/pop3d"
	rm -rf "$root/root/a b"/pop3d/tests/*.tmp
	cp -R "$root/root/a b/pop3d" "$root/srv"
	chown -R 1000:1000 "$root/srv/pop3d"
	chroot "$root" useradd -u 1000 -U -m somebody
	user="cd /srv/pop3d && setpriv --reuid=1000 --regid=1000 \
--clear-groups env HOME=/home/somebody"
	say "$suite" "demo, root in /root" "cd '/root/a b/pop3d' && $demo"
	say "$suite" "check, root in /root" "cd '/root/a b/pop3d' && $check"
	say "$suite" "demo, a user" "$user sh -c 'make clean && ${demo##* && }'"
	say "$suite" "check, a user" "$user ${check##* && }"
	rm -rf --one-file-system "$root"
done
sum_up

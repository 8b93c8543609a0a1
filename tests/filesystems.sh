#!/bin/sh
# Sessions on real file systems: roomy, full, and without inodes; a lock of
# somebody else, and procmail at the same time. Needs root and mount(8); what is
# not there is named and skipped. "make filesystems".

if [ "$1" != --inside ]; then
	[ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null && {
		# the mounts end with it
		unshare -m sh "$0" --inside
		exit
	}
	echo "skipped: file systems can be mounted by root alone"
	echo "0 passed, 0 failed"
	exit 0
fi

cd "$(dirname "$0")/.." || exit 1
tmp=$(mktemp -d) && chmod 755 "$tmp" && cp pop3d "$tmp" || exit 1
disk=$tmp/disk
box=$disk/spool/box
mkdir "$disk"
trap 'umount "$disk" 2>/dev/null; umount "$tmp/below" 2>/dev/null
    rm -rf "$tmp"' EXIT
passed=0
failed=0

check() {	# what, command ...
	what=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $fs: $what"
		cat "$tmp/out"
	fi
}

as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

session() {	# commands, "|" between them
	printf '%s\n' "$1" | tr '|' '\n' | sed 's/$/\r/' |
	    as_nobody timeout 40 "$tmp/pop3d" -p -m "$box" > "$tmp/out" 2>&1
}

# The n-th answer's first words, from 0: the greeting.
says() {	# n, words
	case $(grep -E '^(\+OK|-ERR)' "$tmp/out" | sed -n "$(($1 + 1))p") in
	"$2"*)	return 0 ;;
	esac
	return 1
}

message() {	# number
	printf 'From a@example.org Mon Jan  1 00:00:00 2024\n'
	printf 'Message-ID: <%s@example.org>\n\n%s\n\n' "$1" "$1"
}

fill_box() {
	rm -f "$disk"/spool/* "$disk/spool"/.pop3d* 2>/dev/null
	for i in 1 2 3; do
		message "$i"
	done > "$box" && chown 65534:65534 "$disk/spool" "$box" 2>/dev/null
}

has() {	# number ...
	for i; do
		grep -q "^Message-ID: <$i@" "$box" || return 1
	done
}

is_clean() {
	[ "$(ls -A "$disk/spool" | grep -v '^ballast')" = box ]
}

deletes_one() {
	fill_box
	session 'DELE 2|QUIT'
	check 'login, DELE and QUIT' says 2 '+OK'
	check 'two messages stay' has 1 3
	check 'one is gone' eval '! has 2'
	check 'nothing else is left' is_clean
}

respects_a_lock() {
	fill_box
	printf '%s:%s' $$ "$(hostname)" > "$box.lock"
	( sleep 1; rm -f "$box.lock" ) &
	session 'DELE 1|QUIT'
	wait $!
	check 'a lock that goes after a second' says 2 '+OK'
	check 'what was not named stays' has 2 3
}

meets_procmail() {
	command -v procmail > "$tmp/out" || {
		echo "skipped: $fs: procmail is not installed"
		return
	}
	fill_box
	printf 'DEFAULT=%s\nMAILDIR=%s\nLOCKSLEEP=1\n:0:\n%s\n' "$box" \
	    "$disk/spool" "$box" > "$tmp/rc"
	chmod 644 "$tmp/rc"
	for i in 4 5 6 7; do
		message "$i" | as_nobody env HOME="$tmp" procmail "$tmp/rc"
	done > "$tmp/procmail" 2>&1 &
	session 'DELE 1|QUIT'
	wait $!
	check 'QUIT beside procmail' says 2 '+OK'
	check 'all that came is there' has 2 3 4 5 6 7
}

fill_disk() {
	cat /dev/zero 2>/dev/null > "$disk/spool/ballast"
	( cat /dev/zero > "$disk/ballast" ) 2>/dev/null
	n=0
	while [ "$n" -lt "$1" ] && true 2>/dev/null > "$disk/ballast.$n"; do
		n=$((n + 1))
	done
	sync -f "$disk"
}

deletes_on_a_full_disk() {	# files that use up its inodes, at most
	fill_box
	fill_disk "$1"
	session 'DELE 1|QUIT'
	check 'login on a full disk' says 0 '+OK'
	# a copy-on-write file system may have no room at all: then it says so
	if says 2 '+OK'; then
		check 'deleted on a full disk' eval '! has 1'
	else
		check 'an error is one' says 2 '-ERR [SYS/TEMP]'
		echo "$fs: full, QUIT says so"
	fi
	check 'what stays is whole on a full disk' has 2 3
	rm -f "$disk"/ballast* "$disk/spool/ballast"
}

run() {	# file system, inodes at most, mount options, mkfs ...
	fs=$1 inodes=$2 options=$3
	shift 3
	tool=$1
	[ "$1" != image ] || tool=$3
	command -v "$tool" > "$tmp/out" || {
		echo "skipped: $fs: $tool is not installed"
		return
	}
	case $1 in
	mount)	"$@" ;;
	bindfs)	mkdir -p "$tmp/below" &&
		    mount -t tmpfs -o size=4m tmpfs "$tmp/below" &&
		    bindfs "$tmp/below" "$disk" ;;
	*)	rm -f "$tmp/image"
		"$@" && mount -o "loop$options" "$tmp/image" "$disk" ;;
	esac > "$tmp/out" 2>&1 || {
		echo "skipped: $fs: $(grep . "$tmp/out" | head -n 1)"
		return
	}
	before=$passed
	mkdir "$disk/spool"
	deletes_one
	respects_a_lock
	meets_procmail
	deletes_on_a_full_disk "$inodes"
	umount "$disk"
	umount "$tmp/below" 2>/dev/null
	echo "$fs: $((passed - before)) passed"
}

image() {	# megabytes; then what makes the file system
	truncate -s "$1M" "$tmp/image"
	shift
	"$@" "$tmp/image"
}

run ext4 0 '' image 8 mkfs.ext4 -q
run 'ext4 with 128-octet inodes' 0 '' image 8 mkfs.ext4 -q -I 128
run 'ext4 without inodes' 300 '' image 8 mkfs.ext4 -q -N 64
run XFS 0 '' image 300 mkfs.xfs -q
run btrfs 0 '' image 120 mkfs.btrfs -q
run vfat 0 ',uid=65534,gid=65534' image 8 mkfs.vfat
run tmpfs 0 '' mount -t tmpfs -o size=1m tmpfs "$disk"
run 'tmpfs without inodes' 100 '' mount -t tmpfs \
    -o size=1m,nr_inodes=20 tmpfs "$disk"
run 'bindfs over FUSE' 0 '' bindfs
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

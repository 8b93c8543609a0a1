#!/bin/sh
# Sessions on real file systems: roomy, full, and without inodes; a lock of
# somebody else, and procmail at the same time. Needs root and mount(8); what is
# not there is named and skipped. "make filesystems".

cd "$(dirname "$0")/.." || exit 1
. tests/scenes.sh
if [ "$1" != --inside ]; then
	[ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null ||
	    skip_all "file systems can be mounted by root alone"
	# the mounts end with it
	unshare -m sh tests/filesystems.sh --inside
	exit
fi

make_tmp pop3d-filesystems
chmod 755 "$tmp" && cp pop3d "$tmp" || exit 1
disk=$tmp/disk top=$tmp/disk
spool=$disk/spool
box=$spool/box
mkdir "$disk"
at_end 'umount "$disk" 2>/dev/null; umount "$tmp/below" 2>/dev/null
    rm -rf "$tmp"'

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
		# mount's reason, not what mkfs said before it
		echo "skipped: $fs: $(grep -m 1 '^mount:' "$tmp/out" ||
		    grep -m 1 . "$tmp/out")"
		return
	}
	before=$(passes)
	mkdir "$disk/spool"
	deletes_one
	respects_a_lock
	meets_procmail
	deletes_on_a_full_disk "$inodes"
	umount "$disk"
	umount "$tmp/below" 2>/dev/null
	echo "$fs: $(($(passes) - before)) passed"
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
# enough for a file, not for a link to it: 14 of 20 and five others are taken
run 'tmpfs with one inode left' 14 '' mount -t tmpfs \
    -o size=1m,nr_inodes=20 tmpfs "$disk"
run 'bindfs over FUSE' 0 '' bindfs
sum_up

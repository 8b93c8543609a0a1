#!/bin/sh
# Sessions over NFS: an emulated machine with Debian's kernel exports disks, and
# mounts them from itself and from a second host in it; and on vfat, which not
# every kernel has. The time there is that of instructions, and jumps where all
# wait: a busy host changes nothing. What is needed is fetched, unpacked in
# tests/nfs.tmp and not installed; what cannot be had is named, and all is
# skipped. "make nfs"; MOUNTS='v3 v4.2' names some, SCENES and LOGIN the scenes
# of each.

kept=tests/nfs.tmp
packages='nfs-kernel-server nfs-common rpcbind libtirpc3 libtirpc-common
    libevent-core-2.1-7 libwrap0 libnfsidmap1 libkeyutils1 libcap2 libsqlite3-0
    libuuid1 libblkid1 libmount1 libdevmapper1.02.1 libgssapi-krb5-2 libkrb5-3
    libcom-err2 libk5crypto3 libkrb5support0 libnsl2 libsystemd0'
programs='busybox dash setpriv mkfs.ext4 procmail ip'
helpers='usr/sbin/exportfs usr/sbin/rpc.mountd usr/sbin/rpc.nfsd
    sbin/mount.nfs sbin/rpc.statd sbin/rpcbind'
modules='fs/nfs fs/nfsd fs/nfs_common fs/lockd fs/fscache fs/netfs net/sunrpc
    net/dns_resolver fs/fat fs/nls/nls_ascii.ko fs/nls/nls_cp437.ko
    drivers/block/brd.ko drivers/net/veth.ko'

# ---- Outside: make the machine and start it ----

fetch() {
	kernel=$(apt-cache depends linux-image-cloud-amd64 |
	    sed -n 's/.*Depends: \(linux-image-[0-9]\)/\1/p')
	rm -rf "$kept" && mkdir "$kept" && cd "$kept" &&
	    apt-get -q download $packages "$kernel" > log 2>&1 || return 1
	for f in *.deb; do
		dpkg-deb -x "$f" new || return 1
	done
	rm -f ./*.deb && mv new root
}

# Programs, with their libraries.
put() {	# path ...
	cp -L "$@" "$tree/bin" || exit 1
	LD_LIBRARY_PATH=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu \
	    ldd "$@" | sed -n 's/^[^/]*\(\/[^: ]*\) (.*/\1/p' | sort -u |
	    while read -r lib; do
		[ -e "$tree/lib/${lib##*/}" ] || cp -L "$lib" "$tree/lib"
	done
}

make_machine() {
	mkdir -p "$tree/lib64" "$tree/bin" "$tree/lib/modules" "$tree/etc" \
	    "$tree/tests" "$tree/root" &&
	    ln -s bin "$tree/sbin" && ln -s ../bin "$tree/lib64/bin"
	for p in $programs; do
		put "$(command -v "$p")"
	done
	for p in $helpers; do
		put "$root/$p"
	done
	put pop3d tests/stress_tool
	mv "$tree"/lib/ld-linux* "$tree/lib64"
	ln -s dash "$tree/bin/sh"
	(cd "$root/lib/modules" && for m in $modules; do
		find */kernel/"$m" -name '*.ko'
	done | busybox cpio -o -H newc) 2> "$tmp/log" |
	    (cd "$tree/lib/modules" && busybox cpio -id 2> "$tmp/log")
	busybox depmod -b "$tree" "$(ls "$tree/lib/modules")"
	cp "$root/etc/netconfig" "$tree/etc"
	cp tests/nfs.sh tests/scenes.sh tests/report.sh "$tree/tests"
	printf '%s\n' '#!/bin/sh' '/bin/busybox --install -s /bin' \
	    'exec sh /tests/nfs.sh --inside' > "$tree/init"
	chmod 755 "$tree/init"
	(cd "$tree" && find . | busybox cpio -o -H newc) \
	    > "$tmp/initrd" 2> "$tmp/log"
}

cd "$(dirname "$0")/.." || exit 1
. tests/scenes.sh
if [ "$1" != --inside ]; then
	for p in $programs qemu-system-x86_64 apt-get dpkg-deb ldd; do
		command -v "$p" > /dev/null ||
		    skip_all "NFS: $p is not installed"
	done
	[ -d "$kept/root" ] || (fetch) ||
	    skip_all "NFS: no kernel: $(grep '^E' $kept/log | head -n 1)"
	root=$(cd "$kept/root" && pwd)
	make_tmp pop3d-nfs
	tree=$tmp/tree
	make_machine
	: > "$tmp/out"		# for tail, which may be there first
	timeout 900 qemu-system-x86_64 -accel tcg -icount shift=1,sleep=off \
	    -cpu max -m 1024 -nodefaults -no-user-config -display none \
	    -serial stdio -no-reboot -kernel "$root"/boot/vmlinuz-* \
	    -initrd "$tmp/initrd" -append "console=ttyS0 quiet panic=-1 \
	    norandmaps MOUNTS=\"$MOUNTS\" SCENES=\"$SCENES\" \
	    LOGIN=\"$LOGIN\"" \
	    < /dev/null > "$tmp/out" 2>&1 &
	pid=$!
	trap 'kill $pid; exit 1' HUP INT TERM
	tail -f -n +1 --pid=$pid "$tmp/out" | sed -u 's/\r//'
	last=$(grep ' passed, ' "$tmp/out" | tail -n 1)
	case $last in
	*passed,\ 0\ failed*)	exit 0 ;;
	*failed*)		exit 1 ;;
	esac
	echo "NFS: the machine did not come to its end"
	exit 1
fi

# ---- Inside ----

tmp=/tmp

boot() {
	mkdir -p /proc /sys /tmp /run /var/empty /var/lib/nfs/v4recovery \
	    /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs2/sm \
	    /var/lib/nfs2/sm.bak
	chmod 1777 /tmp
	: > "$tmp/results"
	ln -s /run /var/run
	mount -t proc proc /proc && mount -t devtmpfs dev /dev &&
	    mount -t sysfs sys /sys
	printf '%s:x:%s::/:/bin/sh\n' root 0:0 nobody 65534:65534 \
	    _rpc 65534:65534 pop3d 110:110 box 1000:1000 > /etc/passwd
	printf '%s:x:%s:\n' root 0 mail 8 box 1000 > /etc/group
	echo '127.0.0.1 localhost host1' > /etc/hosts
	printf 'sunrpc 111/%s portmapper\nnfs 2049/%s\n' tcp tcp udp udp \
	    > /etc/services
	printf '%s\n' 'ip 0 IP' 'tcp 6 TCP' 'udp 17 UDP' > /etc/protocols
	touch /etc/exports /var/lib/nfs/etab /var/lib/nfs/rmtab
	echo 'box:{PLAIN}secret:1000:1000::/:' > /etc/accounts
	chmod 600 /etc/accounts
	hostname host1
	ip link set lo up
	syslogd -O /tmp/log
	modprobe brd rd_nr=4 rd_size=16384
	# one port for both hosts: there is one rpcbind for the kernel
	modprobe lockd nlm_tcpport=4045 nlm_udpport=4045
	modprobe -a nfsd nfsv3 nfsv4 veth
	mount -t nfsd nfsd /proc/fs/nfsd
	echo 10 > /proc/fs/nfsd/nfsv4leasetime
	echo 10 > /proc/fs/nfsd/nfsv4gracetime
	echo 5 > /proc/sys/fs/nfs/nlm_grace_period
	rpcbind && rpc.statd && rpc.nfsd 4 && rpc.mountd
	# a new server gives no locks as long as its grace
	sleep 15
}

on_host1() {
	"$@"
}

# Another host: a name, a network, and an NFS client of its own.
on_host2() {
	nsenter -t "$host2" -m -n -u "$@"
}

start_host2() {
	unshare -m -n -u sleep 100000 &
	host2=$!
	sleep 0.1
	ip link add cable type veth peer name cable netns "$host2"
	ip addr add 10.0.0.1/24 dev cable && ip link set cable up
	on_host2 hostname host2
	on_host2 ip addr add 10.0.0.2/24 dev cable
	on_host2 ip link set lo up
	on_host2 ip link set cable up
	on_host2 mount -t tmpfs run /run
	on_host2 rpcbind && on_host2 rpc.statd -P /var/lib/nfs2
}

# As the user, on one host or the other, in a directory.
as_user_in() {	# host, directory, command ...
	on=on_$1
	dir=$2
	shift 2
	$on sh -c "cd $dir && exec setpriv --reuid $uid --regid $gid \
	    --clear-groups \"\$@\"" sh "$@"
}

# A disk without links and owners, on this host alone.
attach_vfat() {	# disk
	fs=vfat top=/vfat disk=/vfat spool=/vfat/spool box=/vfat/spool/box
	mkdir "$disk" && mkdosfs "/dev/$1" &&
	    mount -t vfat -o uid=1000,gid=1000 "/dev/$1" "$disk" &&
	    mkdir "$spool"
}

# A disk of its own for each way to mount it.
attach() {	# name, disk, options
	fs=NFS$1 top=/export/$1 disk=/nfs/$1 spool=/export/$1/spool
	box=$disk/spool/box
	mkdir -p "$top" "$disk"
	mkfs.ext4 -q "/dev/$2" && mount "/dev/$2" "$top" && mkdir "$spool" &&
	    exportfs -o rw,sync,no_subtree_check "*:$top" &&
	    mount.nfs "127.0.0.1:$top" "$disk" -o "$3" &&
	    on_host2 mount.nfs "10.0.0.1:$top" "$disk" -o "$3"
}

# A line for each.
scene() {	# function, its arguments
	before=$(failures)
	"$@" 2>&1
	if [ "$(failures)" = "$before" ]; then
		word=passed
	else
		word=FAILED
	fi
	echo "$word: $fs, $kind: $1" | tr _ ' '
}

# What a client gets, as the user himself; or as root, with a spool that mail
# programs write to as group mail, and a root whom the server takes for nobody.
session() {	# commands
	if [ "$kind" = pipe ]; then
		commands "$1" | as_user pop3d -p -m "$box" > "$tmp/out" 2>&1
	else
		commands "USER box|PASS secret|$1" | pop3d -f /etc/accounts \
		    -m "$disk/spool/%u" 2>&1 | sed 1,2d > "$tmp/out"
	fi
}

own_spool() {
	chown "$uid:$gid" "$spool/box" && chmod 660 "$spool/box"
	if [ "$kind" = pipe ]; then
		chown "$uid:$gid" "$spool" && chmod 755 "$spool"
	else
		chown 0:8 "$spool" && chmod 2775 "$spool"
	fi
}

# As with mail in homes: root, whom the server takes for nobody, is not let in.
enters_a_closed_home() {
	fill_box
	chown "$uid:$uid" "$spool" && chmod 700 "$spool"
	check 'root is not let in' eval '! ls "$disk/spool" 2> /dev/null'
	session 'DELE 1|QUIT'
	check 'login, DELE and QUIT' says 2 '+OK'
	check 'deleted' eval '! has 1'
	check 'what stays is there' has 2 3
	check 'it had a dotlock' eval '! grep "kernel locks only" /tmp/log'
	check 'no lock is left' is_clean
}

let_pass() {	# seconds
	date -s "@$(($(date +%s) + $1))" > "$tmp/out"
}

respects_another_host_for_five_minutes() {
	fill_box
	printf '4711:elsewhere' > "$spool/box.lock"
	session 'DELE 1|QUIT'
	check 'locked by another host' says 0 '-ERR [IN-USE]'
	check 'its lock stays' [ -e "$spool/box.lock" ]
	let_pass 301
	session 'DELE 1|QUIT'
	check 'its old lock goes' says 2 '+OK'
	check 'no lock is left' is_clean
}

removes_the_lock_of_a_process_that_is_gone() {
	fill_box
	printf '99999:%s' "$(hostname)" > "$spool/box.lock"
	let_pass 61
	session 'DELE 1|QUIT'
	check 'a lock without its process goes' says 2 '+OK'
	check 'no lock is left' is_clean
}

works_with_everybody_on_two_hosts() {
	rm -rf "$spool/all" "$tmp/all" && mkdir "$spool/all" "$tmp/all" &&
	    : > "$spool/all/box" && ln -s "$tmp/all/log" "$spool/all/log" &&
	    chown -hR "$uid" "$spool/all" "$tmp/all"
	pids=
	while read -r host what; do
		as_user_in "$host" "$disk/spool/all" env POP3D=/bin/pop3d \
		    stress_tool $what &
		pids="$pids $!"
	done <<-END
		host1 deliver box 4 100000
		host1 rewrite box 4
		host1 visit box 4
		host2 deliver box 4 200000
		host2 visit box 4
	END
	wait $pids
	as_user_in host1 "$disk/spool/all" stress_tool account box \
	    > "$tmp/out" 2>&1
	check 'nothing is lost, nothing there twice' [ $? -eq 0 ]
	check 'no lock is left' [ "$(ls -A "$spool/all" | tr '\n' ' ')" = \
	    'box log ' ]
	grep delivered "$tmp/out"
	rm -r "$spool/all"
}

is_locked() {	# inode
	while read -r number class what how by file rest; do
		[ "$class:${file##*:}" = "POSIX:$1" ] && return 0
	done < /proc/locks
	return 1
}

# Start a session and stop it in UPDATE, when it holds all locks.
stop_in_update() {
	fill_box
	{ message 4; head -c 1000000 /dev/zero | tr '\0' x; } >> "$spool/box"
	inode=$(ls -i "$spool/box" | sed 's/^ *\([0-9]*\).*/\1/')
	( commands 'DELE 1'; sleep 2; commands QUIT ) |
	    setpriv --reuid "$uid" --regid "$gid" --clear-groups \
	    pop3d -p -m "$box" > "$tmp/stopped" &
	pid=$!
	# or it is through before this process has its turn
	renice -n 19 -p $pid > "$tmp/out"
	sleep 1.9
	n=20000
	until is_locked "$inode" || [ $((n -= 1)) -eq 0 ]; do
		:
	done
	kill -STOP $pid
}

# Its dotlock was taken meanwhile.
go_on() {
	kill -CONT $pid
	wait $pid
	mv "$tmp/stopped" "$tmp/out"
	check 'who lost its lock says so' says 2 '-ERR [SYS/TEMP]'
	check 'nothing was touched' has 1 2 3 4
}

# Stopped for so long that the other host takes the dotlock for a dead one's; but
# not the kernel's lock.
notices_that_its_lock_was_taken() {
	stop_in_update
	let_pass 301
	commands QUIT | as_user_in host2 / pop3d -p -m "$box" > "$tmp/out"
	check 'the kernel lock holds' says 0 '-ERR [IN-USE]'
	check 'the dotlock was taken' [ ! -e "$spool/box.lock" ]
	go_on
	check 'no lock is left' is_clean
}

# What its host remembers of the disk is not old then.
notices_at_once_that_its_lock_is_another() {
	stop_in_update
	as_user_in host2 "$disk/spool" sh -c 'rm box.lock && : > box.lock'
	go_on
	check "the other's lock stays" [ -e "$spool/box.lock" ]
	rm -f "$spool/box.lock"
	check 'no lock is left' is_clean
}

sees_the_server_go_and_return() {
	fill_box
	( commands 'RETR 1|DELE 1'; sleep 5; commands QUIT ) |
	    as_user pop3d -p -m "$box" > "$tmp/gone" 2>&1 &
	pid=$!
	sleep 1
	rpc.nfsd 0
	sleep 20
	rpc.nfsd 4
	wait $pid
	mv "$tmp/gone" "$tmp/out"
	check 'QUIT comes to an end' says 3 ''
	check 'what stays is there' has 2 3
	if says 3 '+OK'; then
		check 'deleted' eval '! has 1'
	else
		sed -n '$p' "$tmp/out"
	fi
	session QUIT
	check 'the next session' says 0 '+OK'
	check 'no lock is left' is_clean
}

finds_no_server() {
	fill_box
	session QUIT	# so that something is known of the file
	rpc.nfsd 0
	session QUIT &
	pid=$!
	n=0
	while [ $n -lt 70 ] && kill -0 $pid 2>/dev/null; do
		sleep 1
		n=$((n + 1))
	done
	echo "after $n s: $(head -n 1 "$tmp/out" | grep . || echo silence)"
	check 'the login ends' [ $n -lt 70 ]
	rpc.nfsd 4
	wait $pid
	session 'DELE 1|QUIT'
	check 'the next session' says 2 '+OK'
	check 'no lock is left' is_clean
}

boot
start_host2
ram=0
for mount in ${MOUNTS:-v3 v4.2 v4.1,soft vfat}; do
	scenes='deletes_one respects_a_lock meets_procmail
	    deletes_on_a_full_disk'
	logins=
	if [ "$mount" = vfat ]; then
		attach_vfat "ram$ram"
	else
		attach "$mount" "ram$ram" "vers=${mount#v}"
		scenes="$scenes respects_another_host_for_five_minutes
		    removes_the_lock_of_a_process_that_is_gone
		    works_with_everybody_on_two_hosts
		    notices_that_its_lock_was_taken
		    notices_at_once_that_its_lock_is_another
		    sees_the_server_go_and_return"
		logins='deletes_one meets_procmail enters_a_closed_home
		    finds_no_server'
	fi
	ram=$((ram + 1))
	kind=pipe uid=1000 gid=1000
	for s in ${SCENES:-$scenes}; do
		scene "$s" 0
	done
	kind=login gid=8
	for s in ${LOGIN:-$logins}; do
		scene "$s" 0
	done
done
sum_up > /tmp/sum || cat /tmp/log
cat /tmp/sum
reboot -f

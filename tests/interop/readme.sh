# What README's EXAMPLES say, to the letter. Each block is pasted in a root
# directory that is a copy of this host's and is thrown away afterwards (an
# overlay); where systemd-nspawn is installed, systemd is process 1 there, as
# on the host that a reader has.

has_all readme curl useradd make openssl || return
if [ -z "$INTEROP_SPACES" ]; then
	skip 'no namespaces: it would change this host'
	return
fi
user_dir readme
top=${tests%/tests/interop}
scenes=$PWD/scenes
mkdir blocks scenes && mount -t tmpfs -o mode=755 none scenes || return
overlay()
{
	mkdir "$1" "$1/up" "$1/work" "$1/root" && mount -t overlay -o \
	    "lowerdir=/,upperdir=$1/up,workdir=$1/work" none "$1/root"
}
overlay "$scenes/try" 2>overlay.err ||
    { skip 'no overlay of / can be mounted here'; return; }
umount scenes/try/root

# A block is what stands further in. It keeps its indent, and the empty line
# behind it, which ends a file that it writes.
awk '/^EXAMPLES$/ { on = 1; next }
    on && /^[A-Z]/ { exit }
    on && /^        / { if (!inside) n++
	inside = 1; print > ("blocks/" n) }
    on && inside && /^$/ { print > ("blocks/" n); inside = 0 }' "$top/README"

# What the scripts below have: the functions of lib.sh, and these.
cat >prelude <<'END'
exec </dev/null >/out 2>&1
group=readme work=/w here=tests/interop account=pop3t1
cd /src && . tests/interop/lib.sh
. /has

# paste word: the block in which it stands.
paste()
{
	b=$(grep -lF -- "$1" /blocks/*)
	[ -f "$b" ] || { echo "not one block has $1: $b"; return 1; }
	echo "${b##*/}" >>/pasted
	cat "$b"
	${as:-} sh -e "$b"
}

fill() { cp /mbox "$1" && chown "$2" "$1" && chmod 660 "$1"; }
list() { curl -sSk -m 30 --user "$2:sesame" "$1" | grep -c '^[0-9]'; }

# session url user: list, retrieve, delete.
session()
{
	equal 7 "$(list "$1/" "$2")" &&
	    curl -sSk -m 30 --user "$2:sesame" "$1/1" -o /got &&
	    is_message 1 /got &&
	    curl -sSk -m 30 --user "$2:sesame" -I -X 'DELE 2' "$1/" &&
	    equal 6 "$(list "$1/" "$2")"
}

install_it()
{
	check 'the program is installed' paste 'make install'
	useradd -m -s /bin/sh -p "$(openssl passwd -6 sesame)" alice
	chgrp mail /var/mail && chmod 2775 /var/mail
	rm -rf /var/mail/alice && fill /var/mail/alice alice:mail
	echo 127.0.0.1 mail.example.net >>/etc/hosts
}

# served name [port [url [user]]]: something listens, and gives a session.
served()
{
	wait_tries=50
	check "$1: something listens" wait_until listens "${2:-110}"
	check "$1: a session" session "${3:-pop3://localhost}" "${4:-alice}"
}
END

nspawn= last= before=
limit=180	# seconds; on a quiet machine they take 20 at most
has systemd-nspawn && nspawn=1
[ -n "$nspawn" ] ||
    skip 'no systemd-nspawn: nothing with systemd or its journal is run'

# Of two systemds in one control group, each removes what the other has made and
# not yet used, and waits for the other's processes. Where a machine cannot have
# a group of its own, it waits until the one before it has ended.
hierarchies=
for d in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
	[ ! -w $d/cgroup.procs ] || hierarchies="$hierarchies $d"
done

# scene name: the script on standard input, in a root of its own. They run side
# by side, two at a time.
scene()
{
	cat >"$1.go"
	[ -n "$hierarchies" ] || before=$last
	[ -z "$before" ] || wait "$before"
	before=$last
	play "$1" >"$1.said" 2>&1 &
	last=$!
}

# boot name: until the script has ended. systemd ends with it.
boot()
{
	for d in $hierarchies; do
		mkdir "$d/$account-$1" && echo 0 >"$d/$account-$1/cgroup.procs"
	done
	if [ -z "$nspawn" ]; then
		exec timeout -k 5 $limit unshare -nmp --kill-child sh -c "
		    mount -t proc proc $r/proc && mount --rbind /dev $r/dev &&
		    ip link set lo up && exec chroot $r sh /go"
	fi
	cat >"$r/etc/systemd/system/go.service" <<-END
		[Unit]
		Requires=sysinit.target sockets.target dbus.socket
		After=sysinit.target sockets.target
		[Service]
		Type=oneshot
		ExecStart=/bin/sh /go
		ExecStopPost=systemctl --no-block exit
	END
	mkdir -p "$r/var/log/journal"
	exec timeout -k 5 $limit systemd-nspawn -q --register=no --keep-unit \
	    --private-network -M "pop3d-$1" -b -D "$r" systemd.unit=go.service
}

has_ended() { ! kill -0 "$1" 2>/dev/null; }

# processes_below pid: those of the script, or if it does not run, all.
processes_below()
{
	ps -e --forest -o pid,ppid,stat,etime,wchan:16,args | awk -v top="$1" '
	$1 == top || $2 in below { below[$1]; all = all $0 "\n" }
	($1 in below && / \/go$/) || $2 in script { script[$1]; its = its $0 "\n" }
	END { printf "%s", its ? its : all }'
}

# Of a scene that did not come to its end: its processes, the last of its journal
# (all, and what is more than information), and of its console.
where_it_stands()
{
	processes_below "$1"
	for least in ${nspawn:+debug notice}; do
		journalctl -D "$r/var/log/journal" -p $least -n 12 --no-pager
	done
	tail -n 5 "$s/console"
} 2>&1

play()
{
	s=$scenes/$1 r=$scenes/$1/root
	overlay "$s" || return
	{ cat prelude "$1.go"; echo ': >/end'; } >"$r/go"
	echo "nspawn=$nspawn" >"$r/has"
	cp -r blocks "$r/blocks"
	mkdir -p "$r/w/home" "$r/w/messages"
	cp "$work/mbox" "$r/mbox" && cp "$work/messages/1" "$r/w/messages"
	mkdir "$r/src" && cp -pR "$top/Makefile" "$top/README" "$top"/*.[cho] \
	    "$top/pop3d" "$top/xinetd.d" "$top/tests" "$r/src"
	[ -d "$work/archives" ] &&
	    cp "$work"/archives/*.deb "$r/var/cache/apt/archives"
	: >"$r/out" && : >"$r/pasted"
	boot "$1" </dev/null >"$s/console" 2>&1 &
	wait_tries=$((limit * 9)) wait_until has_ended $! || {
		where_it_stands $! >"$s/stood"
		kill $!
	}
	wait $!
	[ -e "$r/end" ] || [ -e "$s/stood" ] || where_it_stands $! >"$s/stood"
	for d in $hierarchies; do
		find "$d/$account-$1" -depth -type d -exec rmdir {} +
	done
	cat "$r/out"
	[ ! -e "$s/stood" ] || {
		echo "FAIL $group: $1: it did not come to its end"
		sed 's/^/	/' "$s/stood"
	}
	cp "$r/pasted" "$1.pasted"
	umount "$r"
}

unpacked
if [ -d "$work/archives" ]; then
	scene inetd <<'END'
install_it
check 'inetd: the commands' paste openbsd-inetd
served inetd
check 'ss names who holds the port' eval "ss -ltnp | grep ':110 .*inetd'"
END
	scene xinetd <<'END'
install_it
check 'xinetd: the commands' paste xinetd.d/pop3
served xinetd
END
else
	skip 'inetd, xinetd, fail2ban: their packages could not be fetched'
fi

if has_all tcpserver tcpserver && has_all socat socat; then
	scene lines <<'END'
install_it
for line in 'tcpserver -HRl0 -c 200 0 110 /usr' 'socat TCP-LISTEN'; do
	program=${line%% *}
	fill /var/mail/alice alice:mail
	(paste "$line" >/foreground 2>&1) &
	served $program
	[ $program = socat ] || kill $(pidof $program)
done
asked() { echo sesame | as='setsid -w' paste 'curl --user' | grep '^1 '; }
check 'curl asks for the password and lists' asked
[ -z "$nspawn" ] || check 'the journal has the session' \
    eval "journalctl -t pop3d | grep 'LOGIN, user=alice, ip='"
END
fi

if [ -n "$nspawn" ]; then
	scene systemd <<'END'
install_it
check 'systemd: the socket' paste 'pop3d.socket <<'
check 'systemd: the service' paste 'pop3d@.service <<'
check 'systemd: no other has its control groups' exits 1 grep -rqx 0 \
    /sys/fs/cgroup --include=cgroup.procs
check 'systemd: it is enabled' paste 'systemctl daemon-reload'
check 'systemd: the units are in order' equal '' "$(systemd-analyze verify \
    /etc/systemd/system/pop3d.socket /etc/systemd/system/pop3d@.service 2>&1)"
served systemd
check 'systemd: a dotlock can be made' \
    exits 1 eval 'journalctl -t pop3d | grep "kernel locks only"'
check 'systemd: the journal has the address' \
    eval "journalctl -t pop3d | grep 'LOGIN, user=alice, ip=\[\(::1\|127\)'"
check 'systemd: a wrong password is refused' \
    exits 67 curl -sS --user alice:wrong pop3://localhost/
check 'systemd: exposure is below 3' eval 'systemd-analyze security \
    pop3d@1.service | tail -n 1 | grep "level for.*: [0-2][.]"'
# What the text says about mail in homes, and the whole of -m there.
sed -i -e 's|^ExecStart=.*|& -m %%h/mail|' -e 's|ProtectHome=yes|ProtectHome=no|' \
    -e 's|^ReadWritePaths=.*|ReadWritePaths=/home|' \
    /etc/systemd/system/pop3d@.service
chmod 700 /home/alice && fill /home/alice/mail alice:alice
systemctl daemon-reload
check 'systemd: mail in a home that is closed' \
    session pop3://localhost alice
check 'systemd: with a dotlock, too' \
    exits 1 eval 'journalctl -t pop3d | grep "kernel locks only"'
END
fi

if has_all stunnel stunnel4; then
	scene stunnel <<'END'
install_it
check 'stunnel: a certificate' paste 'openssl req'
check 'stunnel: its file' paste pop3s.conf
check 'stunnel: it is started' paste 'service stunnel4'
served stunnel 995 pop3s://localhost
check 'stunnel: and once more' paste 'service stunnel4'
fill /var/mail/alice alice:mail
served 'stunnel again' 995 pop3s://localhost
check 'stunnel: the old one has gone' equal 1 "$(pidof stunnel4 | wc -w)"
END
fi

if has_all ssh sshd ssh ssh-keygen; then
	scene ssh <<'END'
install_it
# As people have it: another key is known there, and the host is known.
mkdir -p /run/sshd /home/alice/.ssh && cd /home/alice/.ssh &&
    ssh-keygen -A && ssh-keygen -q -t ed25519 -N '' -f id_ed25519 &&
    cat id_ed25519.pub >authorized_keys &&
    echo 'StrictHostKeyChecking accept-new' >config
chown -R alice /home/alice/.ssh
rm -f /run/nologin
/usr/sbin/sshd
cd /home/alice
as='setsid -w runuser -u alice -- env HOME=/home/alice USER=alice TERM=vt100'
check 'ssh: a key is made and sent' paste ssh-keygen
by_ssh() { printf 'STAT\r\nQUIT\r\n' | $as ssh "$@" | grep '^+OK 7 '; }
check 'ssh: a session with that key' \
    by_ssh -i .ssh/pop3d mail.example.net
check 'ssh: and with another key, by the whole path' \
    by_ssh mail.example.net /usr/local/sbin/pop3d -p
if has fetchmail; then
	# there is no mail server here to deliver to
	echo "defaults mda 'cat >>/home/alice/got'" >.fetchmailrc
	chown alice .fetchmailrc
	check 'fetchmail: it fetches' paste '&& fetchmail'
	check 'fetchmail: all of it' equal 7 "$(grep -c '^Message-ID:' got)"
fi
if has mutt && has script; then
	install -d -o alice Mail
	echo "set sleep_time=0 wait_key=no delete=yes quit=yes" >.muttrc
	echo "push '<first-entry><delete-message><quit>'" >>.muttrc
	b=$(grep -l 'mutt -f' /blocks/*)
	echo "${b##*/}" >>/pasted
	check 'mutt: it runs' timeout 30 $as script -qec "sh $b" /dev/null
	check 'mutt: the first message is deleted' \
	    equal 6 "$(grep -c '^From ' /var/mail/alice)"
fi
END
fi

if has_all 'accounts of a file' tcpserver; then
	scene accounts <<'END'
install_it
asked() { printf 'sesame\nsesame\n' | as='setsid -w' paste 'useradd -r -U'; }
check 'accounts of a file: the commands' asked
fill /srv/mail/example.net/alice vmail:vmail
tcpserver -HRl0 0 110 /usr/local/sbin/pop3d -f /etc/pop3d.passwd -m %h &
served 'accounts of a file' '' '' alice@example.net
[ -z "$nspawn" ] || check 'accounts of a file: a dotlock can be made' \
    exits 1 eval 'journalctl -t pop3d | grep "kernel locks only"'
kill $!
(paste 'chroot /srv/pop' >/foreground 2>&1) &
wait_tries=300 wait_until [ -d /srv/pop/mail ]
fill /srv/pop/mail/alice@example.net vmail:vmail
wait_tries=300 served 'a chroot' '' '' alice@example.net
END
fi

if has_all saslauthd saslauthd tcpserver slapd slapadd; then
	scene saslauthd <<'END'
install_it
check 'saslauthd: PAM' paste 'apt-get install -y sasl2-bin'
tcpserver -HRl0 0 110 /usr/local/sbin/pop3d -x /run/saslauthd/mux &
served 'saslauthd with PAM'
fill /var/mail/alice alice:mail
# Debian's saslauthd remembers who was let in, until it is started again.
usermod -p '*' alice && service saslauthd restart
check 'saslauthd: alice is known to PAM no more' \
    exits 67 curl -sS --user alice:sesame pop3://localhost/
echo 127.0.0.1 example.net >>/etc/hosts
port=389
check 'saslauthd: slapd listens' run_slapd /w alice sesame
check 'saslauthd: LDAP' paste 'ldap_%s'
served 'saslauthd with LDAP'
END
fi

if [ -n "$nspawn" ] && [ -d "$work/archives" ] &&
    has_all fail2ban tcpserver ip; then
	scene fail2ban <<'END'
install_it
# Recommended by fail2ban: where it is, no backend means files.
apt-get install -y python3-pyinotify >/pyinotify 2>&1
check 'fail2ban: its file' paste jail.d/pop3d.conf
check 'fail2ban: it is started' paste 'service fail2ban'
wait_tries=20
check 'fail2ban: it runs' \
    wait_until eval 'fail2ban-client status courier-auth >/dev/null 2>&1'
# A peer that is not this host: those of this host are never banned.
unshare -n sleep 60 &
peer=$!
sleep 0.5
ip link add one type veth peer name two &&
    ip link set two netns $peer && ip link set one up &&
    ip address add 198.51.100.1/24 dev one
nsenter -n -t $peer ip address add 198.51.100.2/24 dev two
nsenter -n -t $peer ip link set two up
tcpserver -HRl0 0 110 /usr/local/sbin/pop3d &
wait_until listens 110
for i in 1 2 3 4 5; do
	nsenter -n -t $peer \
	    curl -s -m 30 --user alice:no pop3://198.51.100.1/ &
	guesses="$guesses $!"
done
wait $guesses
check 'fail2ban: who guesses passwords is banned' wait_until \
    eval 'fail2ban-client status courier-auth | grep "list:.*198.51.100.2"'
END
fi

wait
cat ./*.said
for b in blocks/*; do
	grep -qx "${b##*/}" ./*.pasted && continue
	if grep -q '^SKIP' "$work/out/$group"; then
		skip "not pasted: $(sed -n '1s/^ *//p' "$b")"
	else
		echo "FAIL $group: nobody pastes: $(sed -n '1s/^ *//p' "$b")"
	fi
done
umount scenes

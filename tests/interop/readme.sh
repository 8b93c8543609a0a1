# README's words for xinetd, to the letter: what a new user copies. They write
# to /etc and /usr/local, which are copies here that nobody else sees.

program=$work/packages/xinetd/usr/sbin/xinetd
[ -x "$program" ] || program=$(command -v xinetd)
has_all readme "${program:-xinetd}" curl useradd make || return
if [ -z "$INTEROP_SPACES" ]; then
	skip "no namespaces: it would change this host"
	return
fi
user_dir readme
top=${tests%/tests/interop}
cp -a /etc "$PWD/etc" && mkdir local mail || return
chgrp mail mail && chmod 2775 mail
[ -d /var/empty ] || made_empty=1

# All but what apt-get and the init script do: the package is unpacked, and
# xinetd is started here.
sed -n '/^    As root, once/,/^    inetd.conf/p; /^    xinetd\./,/^    tcpserver/p' \
    "$top/README" | sed -n 's/^        //p' |
    grep -vE '^(pop3 stream|tcpserver|apt-get|service) ' >words

cat >follow <<'END'
mount --bind "$PWD/etc" /etc && mount --bind "$PWD/local" /usr/local &&
    mount --bind "$PWD/mail" /var/mail || exit 1
rm -rf /etc/xinetd.d && mkdir /etc/xinetd.d
echo includedir /etc/xinetd.d >/etc/xinetd.conf
userdel pop3d 2>/dev/null
here=$PWD
(cd "$1" && sh -e "$here/words") || exit 1
useradd -M -d / -s /usr/sbin/nologin -p "$(openssl passwd -6 sesame)" newuser
cp "$3" /var/mail/newuser && chown newuser:mail /var/mail/newuser || exit 1
"$2" -dontfork >xinetd.out 2>&1 &
echo $! >pid
END
check "the commands can be followed" \
    unshare -m sh follow "$top" "$program" "$work/mbox"
[ -s pid ] && cat pid >>"$work/pids"
check "somebody listens on port 110" wait_until listens 110
mailbox=pop3://newuser:sesame@127.0.0.1
list() { in_time 30 curl -s "$mailbox/" | wc -l; }
retrieve()
{
	in_time 30 curl -s "$mailbox/1" -o got &&
	    sed 's/$/'"$(printf '\r')"'/' "$work/messages/1" | cmp - got
}

check "a new account sees its mail" equal "$count_messages" "$(list)"
check "and retrieves it" retrieve
in_time 30 curl -s -I -X "DELE 1" "$mailbox/" >/dev/null
check "and deletes it" equal $((count_messages - 1)) "$(list)"
check "a wrong password is refused" \
    exits 67 in_time 30 curl -s "pop3://newuser:no@127.0.0.1/"
[ -s pid ] && kill "$(cat pid)"
[ -z "$made_empty" ] || rmdir /var/empty

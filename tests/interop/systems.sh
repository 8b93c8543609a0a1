# The host's own accounts, addresses that are not loopback, a chroot.

has_all systems socat || return
user_dir systems
virtual=$options

options="-u 64123:64123 -e $work/empty -m $work/spool/%u"
if serve; then
	(secret=secret; serves "the host's account" "$account" '' "$account")
	check 'root is refused, and others are not' talk <<END
C: USER root
C: PASS secret
S: -ERR \[AUTH\] .*
C: USER $account
C: PASS secret
C: QUIT
END
	check 'root is refused, as a failed login' \
	    logged 'LOGIN FAILED, user=root, ip=\[127.0.0.1\], reason=.*'
fi

fill s11 1 2
fill s12 1 2
if listen_at TCP6 '[::1]' "$POP3D" -s $virtual 2>/dev/null; then
	check '-s: IPv6 loopback' finds 2 "TCP6:[::1]:$port" s11
	check 'IPv6 in the log' logged 'LOGIN, user=s11, ip=\[::1\]'
else
	skip 'IPv6: none here'
fi
if listen_at TCP6 '[::ffff:127.0.0.1],ipv6only=0' "$POP3D" -s $virtual \
    2>/dev/null; then
	check '-s: IPv4 through an IPv6 socket' \
	    finds 2 "TCP:127.0.0.1:$port,bind=127.0.0.6" s11
	check 'is IPv4 in the log' logged 'LOGIN, user=s11, ip=\[127.0.0.6\]'
else
	skip 'IPv6: no mapped addresses here'
fi
if [ -n "$INTEROP_SPACES" ]; then
	listen_at TCP 192.0.2.7 "$POP3D" -s $virtual
	check '-s: another address is refused before a password is sent' \
	    talk "TCP:192.0.2.7:$port" <<END
C: CAPA
S: [+]OK .*
S: TOP
S: UIDL
S: RESP-CODES
S: AUTH-RESP-CODE
S: PIPELINING
S: EXPIRE NEVER
S: IMPLEMENTATION pop3d
S: [.]
C: USER s12
S: -ERR plaintext login is refused here, use TLS
C: PASS $secret
S: -ERR plaintext login is refused here, use TLS
C: AUTH PLAIN $(b64 "\\0s12\\0$secret")
S: -ERR plaintext login is refused here, use TLS
C: QUIT
END
	listen_at TCP 192.0.2.7 "$POP3D" $virtual
	check 'without -s it is served' finds 2 "TCP:192.0.2.7:$port" s12
	check 'and logged' logged 'LOGIN, user=s12, ip=\[192.0.2.7\]'
else
	skip '-s: no address but loopback, it needs a network namespace'
fi

# Nothing in the chroot but the program, mail, accounts, the empty directory.
static()
{
	for cc in musl-gcc "${CC:-cc}"; do
		$cc -std=c99 -D_DEFAULT_SOURCE -D_FILE_OFFSET_BITS=64 -O2 \
		    -static -o root/pop3d "$tests"/../../*.c -lcrypt &&
		    return
	done >static.out 2>&1
	return 1
}

mkdir -p root/mail root/empty
if [ "$listener" != none ] && static; then
	cp "$work/passwd" root/passwd && chmod 600 root/passwd
	fill s12 1 2
	mv "$work/spool/s12" root/mail/ && chown "$uid:$gid" root/mail/s12
	listen_with "$listener" "$(command -v chroot)" "$PWD/root" /pop3d \
	    -f /passwd -u 64123:64123 -e /empty -m /mail/%u
	check 'chroot: it serves' finds 2 "TCP:127.0.0.1:$port" s12
else
	skip 'chroot: no static program can be made'
fi

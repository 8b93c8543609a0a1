# stunnel: POP3 in TLS from the start (pop3s), and STLS, which stunnel answers.

has stunnel && stunnel=stunnel || stunnel=stunnel4
has_all tls "$stunnel" openssl socat || return
user_dir tls
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem \
    -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    >openssl.out 2>&1
cat key.pem cert.pem >pem && chmod 600 pem key.pem

# tls name settings on standard input: a stunnel on the next port.
tls()
{
	next_port
	{
		printf 'foreground = yes\npid =\nsyslog = no\ndebug = 4\n'
		printf '[%s]\ncert = %s\naccept = 127.0.0.1:%s\n' \
		    "$1" "$PWD/pem" $port
		cat
	} >"$1.conf"
	$stunnel "$1.conf" >"$1.out" 2>&1 &
	started $! || { check "$1: stunnel starts" exits 0 cat "$1.out" ||:; }
}

session()
{
	talk "$1" <<END
S: [+]OK pop3d ready.*
C: CAPA
S+ [+]OK .*
C: USER $2
S: [+]OK .*
C: PASS $secret
S: [+]OK .* 2 messages, .*
C: RETR 2
S+ [+]OK .*
C: DELE 1
S: [+]OK .*
C: QUIT
S: [+]OK .*
END
}

# Behind STLS the greeting is gone, and so is CAPA's first answer.
after_stls()
{
	{
		sleep 1
		printf 'USER %s\r\n' "$1"
		printf 'PASS %s\r\nSTAT\r\nDELE 1\r\nQUIT\r\n' "$secret"
		sleep 2
	} | timeout 30 openssl s_client -quiet -starttls pop3 \
	    -connect "localhost:$port" -CAfile cert.pem >said 2>errors
	cat said errors
	[ "$(grep -c '^+OK' said)" -ge 5 ]
}

# by_curl url user [option]: all are fetched, octet for octet.
by_curl()
{
	for i in 1 2 3 4 5 6 7; do
		curl -sS -m 60 ${3:-} --cacert cert.pem \
		    -u "$2:$secret" "$1/$i" -o got || return 1
		sed 's/$/'"$(printf '\r')"'/' "$work/messages/$i" |
		    cmp - got || return 1
	done
}

# by_fetchmail user "server options"
by_fetchmail()
{
	cat >fetchmailrc <<END
poll localhost service $port protocol pop3 uidl
    user "$1" password "$secret" $2 sslcertck sslcertfile $PWD/cert.pem
    mda "/bin/cat >>$PWD/fetched" ${3:-keep}
END
	touch fetched && chown "$uid" fetchmailrc fetched . cert.pem
	chmod 600 fetchmailrc
	as_user timeout 60 fetchmail -f fetchmailrc --pidfile fetchmail.pid
}

# tried name user "curl url" curl-option "fetchmail options"
tried()
{
	if has curl; then
		fill "$2"
		check "$1: curl fetches all" by_curl "$3" "$2" "$4"
	else
		skip "$1: curl: not installed"
	fi
	if has fetchmail; then
		fill "$2"
		check "$1: fetchmail" by_fetchmail "$2" "$5"
		check "$1: fetchmail: the second poll fetches nothing" \
		    exits 1 by_fetchmail "$2" "$5"
		check "$1: fetchmail: nokeep" \
		    by_fetchmail "$2" "$5" 'fetchall nokeep'
		check "$1: fetchmail: the mailbox is empty" is_empty "$2"
	else
		skip "$1: fetchmail: not installed"
	fi
}

# stunnel with exec: pop3d's client is a socket pair, so -s takes passwords.
tls exec <<END
exec = $POP3D
execArgs = pop3d -s $options
END
fill_small stunnel
check 'exec: login, retrieve, delete' session \
    "OPENSSL:localhost:$port,bind=127.0.0.1,cafile=$PWD/cert.pem" stunnel
check 'exec: one is left' equal 1 "$(left stunnel)"
check 'exec: the address is in the log' \
    logged 'LOGIN, user=stunnel, ip=\[127.0.0.1\]'
tried exec stunnel pop3s://localhost:$port '' ssl

# STLS with exec.
tls stls-exec <<END
protocol = pop3
exec = $POP3D
execArgs = pop3d -s $options
END
fill_small stls
check 'STLS, exec: openssl s_client' after_stls stls
check 'STLS, exec: one is left' equal 1 "$(left stls)"
tried 'STLS, exec' stls pop3://localhost:$port --ssl-reqd 'sslproto tls1.2+'
check 'STLS, exec: without TLS nothing goes' exits 1 session \
    "TCP:127.0.0.1:$port" stls

# STLS in front of a superserver: the peer is stunnel, on loopback.
serve -s || return
behind=$port
tls stls-connect <<END
protocol = pop3
connect = 127.0.0.1:$behind
END
fill_small stlscurl
check 'STLS, connect: openssl s_client' after_stls stlscurl
check 'STLS, connect: one is left' equal 1 "$(left stlscurl)"
tried 'STLS, connect' stlscurl pop3://localhost:$port --ssl-reqd \
    'sslproto tls1.2+'

# xinetd.d/pop3s as it is, but for paths and the port.
xinetd=$work/packages/xinetd/usr/sbin/xinetd
[ -x "$xinetd" ] || xinetd=$(command -v xinetd)
if [ -n "$xinetd" ]; then
	next_port
	cat >pop3s.conf <<END
syslog = no
cert = $PWD/pem
exec = $POP3D
execArgs = pop3d -s $options
END
	sed -e 's/\(disable.*\)yes/\1no/' -e 's|^#.*||' \
	    -e "s|/usr/bin/stunnel|$(command -v $stunnel)|" \
	    -e "s|/etc/stunnel/pop3d.conf|$PWD/pop3s.conf|" \
	    -e "/^{/a\\
		type = UNLISTED\\
		port = $port\\
		bind = 127.0.0.1" "$xinetd_d/pop3s" >xinetd.conf
	"$xinetd" -dontfork -f xinetd.conf -pidfile "$PWD/xinetd.pid" \
	    >xinetd.out 2>&1 &
	started $!
	fill_small pops3
	check 'xinetd.d/pop3s: login, retrieve, delete' session \
	    "OPENSSL:localhost:$port,cafile=$PWD/cert.pem" pops3
	check 'xinetd.d/pop3s: one is left' equal 1 "$(left pops3)"
	check 'xinetd.d/pop3s: the address is in the log' \
	    logged 'LOGIN, user=pops3, ip=\[127.0.0.1\]'
else
	skip 'xinetd.d/pop3s: no xinetd'
fi

# stunnel: POP3 in TLS from the start (pop3s), and STLS, which stunnel answers.

find_stunnel tls && has_all tls openssl socat || return
user_dir tls

# Behind STLS the greeting is gone, and so is CAPA's first answer.
after_stls()
{
	{
		sleep 1
		printf 'USER %s\r\n' "$1"
		printf 'PASS %s\r\nSTAT\r\nDELE 1\r\nQUIT\r\n' "$secret"
		sleep 2
	} | timeout 30 openssl s_client -quiet -starttls pop3 \
	    -connect "localhost:$port" -CAfile "$work/cert.pem" >said 2>errors
	cat said errors
	[ "$(grep -c '^+OK' said)" -ge 5 ]
}

# tried name user url {stls|tls}
tried()
{
	security=$4
	if has curl; then
		fill "$2" $few
		check "$1: curl fetches all" by_curl "$3" "$2" \
		    "$([ "$4" = tls ] || echo --ssl-reqd)"
	else
		skip "$1: curl: not installed"
	fi
	if has fetchmail; then
		use_fetchmail
		leaves "$2"
		deletes_the_rest "$2"
	else
		skip "$1: fetchmail: not installed"
	fi
}

# stunnel with exec: pop3d's client is a socket pair, so -s takes passwords.
stunnel_with exec <<END
exec = $POP3D
execArgs = pop3d -s $options
END
serves exec stunnel \
    "OPENSSL:localhost:$port,bind=127.0.0.1,cafile=$work/cert.pem" stunnel
check 'exec: the address is in the log' \
    logged 'LOGIN, user=stunnel, ip=\[127.0.0.1\]'
tried exec stunnel pop3s://localhost:$port tls

# STLS with exec.
stunnel_with stls-exec <<END
protocol = pop3
exec = $POP3D
execArgs = pop3d -s $options
END
fill stls 1 2
check 'STLS, exec: openssl s_client' after_stls stls
check 'STLS, exec: one is left' equal 1 "$(left stls)"
tried 'STLS, exec' stls pop3://localhost:$port stls
check 'STLS, exec: without TLS nothing goes' exits 1 takes_one \
    "TCP:127.0.0.1:$port" stls

# STLS in front of a superserver: the peer is stunnel, on loopback.
serve -s || return
behind=$port
stunnel_with stls-connect <<END
protocol = pop3
connect = 127.0.0.1:$behind
END
fill stlscurl 1 2
check 'STLS, connect: openssl s_client' after_stls stlscurl
check 'STLS, connect: one is left' equal 1 "$(left stlscurl)"
tried 'STLS, connect' stlscurl pop3://localhost:$port stls

# xinetd.d/pop3s as it is, but for paths and the port.
unpacked
if find_package xinetd xinetd; then
	next_port
	cat >pop3s.conf <<END
syslog = no
cert = $work/pem
exec = $POP3D
execArgs = pop3d -s $options
END
	xinetd_with pop3s -e "s|/usr/bin/stunnel|$(command -v $stunnel)|" \
	    -e "s|/etc/stunnel/pop3d.conf|$PWD/pop3s.conf|"
	check 'xinetd.d/pop3s: a host that overdoes it shuts no other out' \
	    others_get_in tls
	serves xinetd.d/pop3s pops3 \
	    "OPENSSL:localhost:$port,cafile=$work/cert.pem" pops3
	check 'xinetd.d/pop3s: the address is in the log' \
	    logged 'LOGIN, user=pops3, ip=\[127.0.0.1\]'
else
	skip 'xinetd.d/pop3s: no xinetd'
fi

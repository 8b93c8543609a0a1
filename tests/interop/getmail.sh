# getmail, version 6.

prepare getmail || return
# It forks to deliver, and does not notice a child that ends before it is waited
# for, but waits three minutes: so no delivery is quick.
cat >file <<'END'
#!/bin/sh
cat >"$1/$$" && sleep 0.2
END
chmod 755 file

get()
{
	make_maildir "$1"
	mkdir -p "$1.dir"
	[ "$2" = delete ] && delete=true || delete=false
	cat >"$1.dir/getmailrc" <<END
[retriever]
type = SimplePOP3$(secured '' '' SSL)Retriever
server = localhost
port = $port
username = $1
password = $secret
${security:+ca_certs = $work/cert.pem}
[destination]
type = MDA_external
path = $PWD/file
arguments = ("$PWD/got/$1/new",)
[options]
read_all = ${read_all:-false}
delete = $delete
received = false
delivered_to = false
verbose = 2
END
	chown -R "$uid" "$1.dir"
	as_user timeout $patience getmail --getmaildir "$PWD/$1.dir"
}

# It reads mail and writes it anew: CRs and blanks at the end of a header line
# are lost, and a Return-Path is added.
poll=get these=$(without 10 14 15) secure=tls talks=
course gm

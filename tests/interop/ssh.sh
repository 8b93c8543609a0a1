# ssh to a sshd of our own: the key decides that pop3d -p runs.

has_all ssh sshd ssh ssh-keygen socat || return
user_dir ssh
next_port
ssh-keygen -q -t ed25519 -N '' -f host
ssh-keygen -q -t ed25519 -N '' -f key && chown "$uid" key
echo "restrict,command=\"$POP3D -p -m $work/spool/ssh\" $(cat key.pub)" >keys
cat >sshd.conf <<END
ListenAddress 127.0.0.1:$port
HostKey $PWD/host
AuthorizedKeysFile $PWD/keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
END
run_server "$(command -v sshd)" -D -e -f sshd.conf || return
cat >tunnel <<END
#!/bin/sh
exec ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=$PWD/known -o SendEnv=TCPREMOTEIP -i $PWD/key \
    -p $port $account@127.0.0.1 "\$@" 2>$PWD/ssh.err
END
chmod 755 tunnel

serves ssh ssh "EXEC:$PWD/tunnel,su=$account" '' \
    "EXEC:'env TCPREMOTEIP=203.0.113.66 $PWD/tunnel id',su=$account"
check 'the address is in the log' \
    logged "LOGOUT, user=$account, ip=\[127.0.0.1\], .*left=1, .*"
[ -z "$log" ] || check "the client's environment is not" \
    exits 1 grep -q 'ip=\[203.0.113.66' "$log"

if has_all fetchmail fetchmail; then
	use_fetchmail
	server="plugin \"$PWD/tunnel\" auth ssh uidl"
	leaves ssh
	deletes_the_rest ssh
	# Why sslproto '' is needed: STLS is sent otherwise.
	sed "s/sslproto ''//" ssh.rc | user_file stls.rc
	check "fetchmail without sslproto '' fails: it sends STLS" \
	    exits 2 as_user timeout $patience fetchmail -f stls.rc \
	    --pidfile f.pid
fi

if has_all mutt mutt script; then
	fill ssh $few
	check "mutt with \$tunnel" by_mutt mutt ssh \
	    "set tunnel='$PWD/tunnel'" '<first-entry><delete-message><quit>'
	# It does not wait for the end of its tunnel.
	check 'mutt: one is deleted' wait_until has_left 6 ssh
fi

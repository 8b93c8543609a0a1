# Passwords from elsewhere: -x, and the saslauthd of Cyrus SASL, which asks
# shadow(5), PAM or LDAP.

has_all saslauthd saslauthd socat || return
user_dir saslauthd
dir=$PWD

# run_saslauthd how [option ...]: in the place of the one that ran before.
run_saslauthd()
{
	stop_saslauthd
	rm -rf "$dir/run" && mkdir "$dir/run"
	how=$1
	shift
	# It ends all of its process group with itself.
	setsid saslauthd -d -n 1 -m "$dir/run" -a "$how" "$@" >"$dir/$how.out" 2>&1 &
	saslauthd=$!
	echo $saslauthd >>"$work/pids"
	wait_until [ -S "$dir/run/mux" ]
}
saslauthd=
stop_saslauthd()
{
	[ -n "$saslauthd" ] || return 0
	kill $saslauthd && wait $saslauthd
	saslauthd=
} 2>/dev/null

# Virtual users, whose hashes would let nobody in.
for u in saslpam saslldap; do
	echo "$u:*:$uid:$gid::$work/home:"
	fill $u
done >"$dir/users"
chmod 600 "$dir/users"
fill "$account"

options="-u 64123:64123 -e $work/empty -m $work/spool/%u -x $dir/run/mux"
listen_at TCP 127.0.0.1 "$POP3D" $options || return
system=$port
listen_at TCP 127.0.0.1 "$POP3D" $options -f "$dir/users" || return
file=$port

# login port user password, in a directory of its own as they may run at once.
login()
{
	port=$1
	talk <<-X
		S: \\+OK pop3d ready
		C: USER $2
		S: \\+OK .*
		C: PASS $3
		S: $4
		C: QUIT
		S: \\+OK bye
	X
}
yes='\+OK .* 7 messages, .*'
no='-ERR \[AUTH\] .*'
trouble='-ERR \[SYS/TEMP\] .*wait.*'

run_saslauthd shadow
check 'shadow: a password is right' login $system "$account" secret "$yes"
check 'shadow: a password is wrong' login $system "$account" wrong "$no"
check 'shadow: that is logged' \
    logged "LOGIN FAILED, user=$account, .*, reason=wrong password"
check 'shadow: an unknown name' login $system nobody.such secret "$no"

# /etc/pam.d is the host's, and only a copy may get a service.
if [ -n "$INTEROP_SPACES" ] && [ -d /etc/pam.d ]; then
	cp -a /etc/pam.d "$dir/pam.d"
	cat >"$dir/pam.d/pop3" <<-X
		auth sufficient pam_unix.so
		auth required pam_exec.so quiet expose_authtok $dir/sesame
		account required pam_permit.so
	X
	printf '#!/bin/sh\n[ "$PAM_USER:$(tr -d "\\0")" = "saslpam:a: b" ]\n' \
	    >"$dir/sesame"
	chmod 755 "$dir/sesame"
	mount --bind "$dir/pam.d" /etc/pam.d
	run_saslauthd pam
	check 'PAM: a host account' login $system "$account" secret "$yes"
	check 'PAM: its wrong password' login $system "$account" wrong "$no"
	check 'PAM: an account that the host has not' \
	    login $file saslpam 'a: b' "$yes"
	check 'PAM: its wrong password' login $file saslpam 'a:b' "$no"
	check 'PAM: right for another name' login $file saslldap 'a: b' "$no"
	umount /etc/pam.d
else
	skip 'PAM: needs a mount namespace'
fi

if has_all LDAP slapd slapadd; then
	next_port
	run_slapd "$dir" saslldap 'open sesame' >ldap.out 2>&1 || cat ldap.out
	cat >ldap.conf <<-X
		ldap_servers: ldap://127.0.0.1:$port
		ldap_search_base: dc=example,dc=net
		ldap_filter: uid=%u
	X
	run_saslauthd ldap -O "$dir/ldap.conf"
	check 'LDAP: a password is right' \
	    login $file saslldap 'open sesame' "$yes"
	check 'LDAP: a password is wrong' login $file saslldap sesame "$no"
	check 'LDAP: an unknown name' login $file saslpam sesame "$no"
fi

stop_saslauthd
check 'saslauthd is gone: that passes' \
    login $file saslldap 'open sesame' "$trouble"
check 'and is logged as what it is' \
    logged "-x $dir/run/mux: no whole answer: .*, user=saslldap, .*"
lines | grep 'LOGIN FAILED, user=saslldap' >failed
check 'and not as a failed login' equal 2 "$(wc -l <failed)"

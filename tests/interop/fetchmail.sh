# fetchmail over TCP and through its plugin.

has_all fetchmail fetchmail || return
serve || return
user_dir fetchmail

# A file for each message, in the order they come.
mkdir got
chown "$uid" got
cat >mda <<'END'
#!/bin/sh
n=$(($(ls "$1" | wc -l) + 1))
exec cat >"$1/$n"
END
chmod 755 mda

# fetch status user "more options": invisible keeps fetchmail's own Received
# out. "sslproto ''" because it asks for STLS otherwise, whatever CAPA says.
fetch()
{
	wanted=$1 user=$2
	mkdir -p "got/$user" && chown "$uid" "got/$user"
	cat >"$user.rc" <<END
set invisible
set no bouncemail
poll 127.0.0.1 service $port protocol pop3 ${4:-} timeout 60
    user "$user" password "$secret" sslproto '' no rewrite
    mda "$PWD/mda $PWD/got/$user" $3
END
	chown "$uid" "$user.rc" && chmod 600 "$user.rc"
	exits "$wanted" as_user timeout 120 fetchmail -v -f "$user.rc" \
	    -i "$user.ids" --pidfile "$user.pid"
}

# What was delivered is what the mailbox holds, octet for octet.
delivered()
{
	for i in 1 2 3 4 5 6 7; do
		cmp "$work/messages/$i" "got/$1/$i" || return 1
	done
	[ "$(ls "got/$1" | wc -l)" = 7 ]
}

new_one() { add "$1"; fetch 0 "$1" "$2" "$3" && [ -f "got/$1/8" ]; }

# leaves user "options" "server options"
leaves()
{
	fill "$1"
	check "$1: keep: the first poll fetches all" fetch 0 "$1" "$2" "$3"
	check "$1: keep: octet for octet" delivered "$1"
	check "$1: keep: the mailbox is left as it was" is_untouched "$1"
	check "$1: keep: the second poll fetches nothing" \
	    fetch 1 "$1" "$2" "$3"
	check "$1: keep: the second poll delivers nothing" delivered "$1"
	check "$1: keep: a new message is fetched" new_one "$1" "$2" "$3"
	check "$1: keep: the mailbox has all" equal 8 "$(left "$1")"
}

# deletes user "options" "server options"
deletes()
{
	fill "$1"
	check "$1: nokeep: all is fetched" fetch 0 "$1" "nokeep $2" "$3"
	check "$1: nokeep: octet for octet" delivered "$1"
	check "$1: nokeep: the mailbox is empty" is_empty "$1"
	check "$1: nokeep: reconnected, there is nothing" \
	    fetch 1 "$1" "nokeep $2" "$3"
}

locked()
{
	# A lock that is not stale: a process that lives has made it.
	echo $$ >"$work/spool/fmlock.lock"
	fetch 9 fmlock keep && status=0 || status=1
	rm -f "$work/spool/fmlock.lock"
	return $status
}

fill fmlock
{ check 'a locked mailbox is a passing trouble, exit 9' locked
check 'a locked mailbox is logged as one' \
    logged 'mailbox locked by a dotlock.*, user=fmlock, ip=\[127.0.0.1\]'
check 'and fetched later' fetch 0 fmlock keep; } >locked.out &
lock_pid=$!

fill fmwrong
check 'a wrong password is exit 3' fetch 3 fmwrong 'password "wrong" keep'
check 'it is logged as one' \
    logged 'LOGIN FAILED, user=fmwrong, ip=\[127.0.0.1\], reason=.*'

leaves fmkeep keep
leaves fmuidl keep uidl
deletes fm

fill fmlimit
check 'limit: the rest is fetched' fetch 0 fmlimit 'nokeep limit 10000'
check 'limit: what is too large stays' equal 2 "$(left fmlimit)"
check 'limit: without it, the rest is fetched' fetch 0 fmlimit nokeep
check 'limit: all is gone' is_empty fmlimit

# A pipe: the user of the process is the account, so nothing is asked.
plugin="plugin \"$POP3D -p -m $work/spool"
leaves fmpipe keep "$plugin/fmpipe\" auth ssh uidl"
deletes fmpass '' "$plugin/fmpass\" auth ssh"
deletes fmpassp '' "$plugin/fmpassp\" auth password"

wait $lock_pid
cat locked.out

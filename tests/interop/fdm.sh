# fdm, which keeps the unique-ids it has seen in a file.

prepare fdm || return

# What is new, or all.
by_fdm()
{
	[ "$2" = keep ] && new="new-only cache \"$PWD/$1.ids\"" || new=
	make_maildir "$1"
	user_file "$1.conf" <<END
set no-received
set timeout 60
set lock-file "$PWD/$1.lock"
account "a" $(secured pop3 '' pop3s) server "localhost" port $port
	user "$1" pass "$secret" $new $(secured '' '' no-verify)
action "file" maildir "$PWD/got/$1"
match all action "file"
END
	keep=
	[ "$2" = delete ] || keep=-k
	# Its exit status says nothing.
	as_user timeout $patience fdm -v -f "$PWD/$1.conf" $keep fetch \
	    >"$1.said" 2>&1
	cat "$1.said"
	! grep -q 'aborted\|syntax error' "$1.said"
}

poll=by_fdm these=$made forgets=deleting secure=tls
course fdm

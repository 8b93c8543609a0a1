# fdm, which keeps the unique-ids it has seen in a file.

has_all fdm fdm || return
serve || return
user_dir fdm

# What is new, or all.
by_fdm()
{
	case $security in
	tls) kind=pop3s tls='no-verify' ;;
	*) kind=pop3 tls= ;;
	esac
	[ "$2" = keep ] && new="new-only cache \"$PWD/$1.ids\"" || new=
	mkdir -p "got/$1/new" "got/$1/cur" "got/$1/tmp"
	chown -R "$uid" "got/$1"
	cat >"$1.conf" <<END
set no-received
set timeout 60
set lock-file "$PWD/$1.lock"
account "a" $kind server "localhost" port $port
	user "$1" pass "$secret" $new $tls
action "file" maildir "$PWD/got/$1"
match all action "file"
END
	chown "$uid" "$1.conf" && chmod 600 "$1.conf"
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

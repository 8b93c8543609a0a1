# nmh's inc: it knows no unique-ids.

inc=$(command -v inc || ls /usr/bin/mh/inc /usr/lib/mh/inc 2>/dev/null)
prepare "${inc:-inc}" || return

by_inc()
{
	mkdir -p "$1.mh/Mail/inbox"
	printf 'Path: Mail\ncredentials: file:%s\n' "$PWD/$1.netrc" \
	    >"$1.mh/.mh_profile"
	chown -R "$uid" "$1.mh"
	printf 'machine localhost login %s password "%s"\n' "$1" "$secret" |
	    user_file "$1.netrc"
	[ "$2" = delete ] && keep=-truncate || keep=-notruncate
	tls=$(secured -notls '' '-initialtls -nocertverify')
	said=$(as_user HOME="$PWD/$1.mh" timeout $patience "$inc" \
	    -host localhost -port $port -user "$1" $keep $tls -nochangecur 2>&1) &&
	    status=0 || status=$?
	echo "$said"
	mv "$1.mh/Mail/inbox"/[0-9]* "got/$1/" 2>/dev/null
	case $said in
	*'no mail to incorporate'*) status=0 ;;
	esac
	return $status
}

# It stops at lines over 8,191 octets.
poll=by_inc these=$(without 9) forgets=all tears=1 secure=tls
course nmh

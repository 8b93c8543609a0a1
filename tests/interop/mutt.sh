# mutt and neomutt, direct and with $tunnel. They want a terminal.

has_all mutt script || return
serve || return
user_dir mutt

# read_mail program user "settings" "keys": keys are pressed at the index.
read_mail()
{
	cat >"$2.rc" <<END
set folder=$PWD spoolfile=/dev/null record='' mbox_type=Maildir
set sleep_time=0 wait_key=no quit=yes delete=yes move=no confirmappend=no
set confirmcreate=no pop_checkinterval=1 message_cachedir=$PWD/$2.cache
set pop_pass="$secret" pop_reconnect=no check_new=no
set ssl_starttls=no ssl_force_tls=no
$3
push "$4"
END
	mkdir -p "$2.cache"
	chown -R "$uid" "$2.rc" "$2.cache"
	in_time setpriv --reuid="$uid" --regid="$gid" --clear-groups \
	    env -i PATH="$PATH" HOME="$PWD" LC_ALL=C TERM=vt100 \
	    script -qec "$1 -n -F $2.rc -f pop://$2@127.0.0.1:$port/" /dev/null
}

# What they file has no Status, as that is theirs.
filed()
{
	rm -rf "$1.want" && mkdir "$1.want"
	for i in $few; do
		grep -av '^X*-*Status: ' "$work/messages/$i" |
		    cksum >"$1.want/$i"
	done
	cat "$1.want"/* | sort >"$1.wanted"
	find "$1.box" -type f | while read -r f; do
		grep -av '^X*-*Status: \|^Content-Length: \|^Lines: ' "$f" | cksum
	done | sort >"$1.got"
	diff "$1.wanted" "$1.got"
}

all='<tag-pattern>~A<enter><tag-prefix><copy-message>'

# session program user "settings"
session()
{
	fill "$2" $few
	check "$2: all are read and filed" read_mail "$1" "$2" "$3" \
	    "$all$PWD/$2.box<enter><exit>"
	check "$2: as they are in the mailbox" filed "$2"
	check "$2: left on the server" is_untouched "$2"
	check "$2: once more" read_mail "$1" "$2" "$3" \
	    "$all$PWD/$2.again<enter><exit>"
	check "$2: nothing is fetched again" logged \
	    "LOGOUT, user=${4:-$2}, ip=.*, retr=0, del=0, left=7, .*"
	check "$2: the first is deleted" read_mail "$1" "$2" "$3" \
	    '<first-entry><delete-message><sync-mailbox><exit>'
	check "$2: and only that" equal 6 "$(left "$2")"
	check "$2: all are deleted" read_mail "$1" "$2" "$3" \
	    '<delete-pattern>~A<enter><quit>'
	check "$2: the mailbox is empty" is_empty "$2"
	check "$2: reconnected, there is nothing" read_mail "$1" "$2" "$3" \
	    '<exit>'
}

for m in mutt neomutt; do
	has $m || { skip "$m: not installed"; continue; }
	session $m $m ''
	session $m ${m}t "set tunnel='$POP3D -p -m $work/spool/${m}t'" \
	    "$account"
done

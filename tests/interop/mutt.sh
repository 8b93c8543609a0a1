# mutt and neomutt, direct and with $tunnel. They want a terminal.

prepare script || return

# What they file has no Status, as that is theirs.
as_filed=no_status
no_status() { grep -av '^X*-*Status: '; }
filed()
{
	mkdir -p "got/$1"
	find "$1.box" -type f | while read -r f; do
		no_status <"$f" | grep -av '^Content-Length: \|^Lines: ' \
		    >"got/$1/${f##*/}"
	done
	delivered "$1" $few
}

all='<tag-pattern>~A<enter><tag-prefix><copy-message>'

# session program user "settings"
session()
{
	fill "$2" $few
	check "$2: all are read and filed" by_mutt "$1" "$2" "$3" \
	    "$all$PWD/$2.box<enter><exit>"
	check "$2: as they are in the mailbox" filed "$2"
	check "$2: left on the server" is_untouched "$2"
	check "$2: once more" by_mutt "$1" "$2" "$3" \
	    "$all$PWD/$2.again<enter><exit>"
	check "$2: nothing is fetched again" logged \
	    "LOGOUT, user=${4:-$2}, ip=.*, retr=0, del=0, left=7, .*"
	check "$2: the first is deleted" by_mutt "$1" "$2" "$3" \
	    '<first-entry><delete-message><sync-mailbox><exit>'
	check "$2: and only that" equal 6 "$(left "$2")"
	check "$2: all are deleted" by_mutt "$1" "$2" "$3" \
	    '<delete-pattern>~A<enter><quit>'
	check "$2: the mailbox is empty" is_empty "$2"
	check "$2: reconnected, there is nothing" by_mutt "$1" "$2" "$3" \
	    '<exit>'
}

for m in mutt neomutt; do
	has $m || { skip "$m: not installed"; continue; }
	session $m $m ''
	session $m ${m}t "set tunnel='$POP3D -p -m $work/spool/${m}t'" \
	    "$account"
done

# mailutils' movemail.

prepare movemail perl || return
movemail --version | grep -q Mailutils ||
    { skip "this movemail is not mailutils'"; return; }

# It appends to an mbox, and knows by that what it has. What it does not fetch,
# it does not delete.
by_movemail()
{
	keep='--preserve --uidl'
	[ "$2" = keep ] || { keep=--no-preserve; rm -f "$1.mbox"; }
	rm -f "got/$1"/*
	as_user timeout $patience movemail --no-config $keep \
	    "pop://$1:$(echo "$secret" | sed 's/ /%20/')@localhost:$port" \
	    "$PWD/$1.mbox" && status=0 || status=$?
	[ ! -e "$1.mbox" ] || apart "$1.mbox" "got/$1" \
	    'X-UIDL|X-IMAPbase|X-UID|X-Status|Status' '>'
	return $status
}

# It damages lines over 1,000 octets, and large messages that begin at some
# places of its mbox; it has Status lines of its own, and a blank behind a name
# without a value.
poll=by_movemail these=$(without 4 5 7 8 9 15 16) forgets=deleting tears=1
cut_at=2000
course movemail

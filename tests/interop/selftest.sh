# The course itself: where a server does wrong, it is red, in the right place.

has_all selftest python3 mpop || return
user_dir selftest
use_mpop
these=$few talks=

# with how: a course, where pop3d's words are damaged.
with()
{
	meddle=$1
	serve || return
	sums_wanted $these new >/dev/null
	leaves "$1"
	deletes "$1all"
} >"$1.said" 2>&1

failed() { grep "^FAIL" "$1.said" | sed 's/.*: //' | sort -u; }

with pass
check 'nothing is changed: nothing fails' equal '' "$(failed pass)"
check 'and all is checked' equal 12 "$(grep -c '^ok' pass.said)"
with change
check 'an octet of each message is another one: it is found' \
    equal "$(printf 'and only that\nbrings nothing new\noctet for octet')" \
    "$(failed change)"
with again
check 'all is given again: it is found' \
    equal "$(printf 'and only that\nbrings nothing new')" \
    "$(failed again)"
with twice
check 'a message comes twice: it is found' equal \
    "$(printf 'and only that\nbrings nothing new\noctet for octet')" \
    "$(failed twice)"
check 'as what it is' grep -q 'too often: message 1$' twice.said
with keep
check 'no deletion is done: it is found' \
    equal 'the mailbox is empty' "$(failed keep)"

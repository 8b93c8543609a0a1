# getmail, version 6.

has_all getmail getmail || return
serve || return
user_dir getmail

# get user read_all delete "password"
get()
{
	mkdir -p "$1.dir" "$1.mail/new" "$1.mail/cur" "$1.mail/tmp"
	cat >"$1.dir/getmailrc" <<END
[retriever]
type = SimplePOP3Retriever
server = 127.0.0.1
port = $port
username = $1
password = ${4:-$secret}
[destination]
type = Maildir
path = $PWD/$1.mail/
[options]
read_all = $2
delete = $3
received = false
delivered_to = false
verbose = 2
END
	chown -R "$uid" "$1.dir" "$1.mail"
	as_user timeout 150 getmail --getmaildir "$PWD/$1.dir"
}

delivered() { same_messages "$1.mail" 1 2 3 4 5 6 7; }
new_one() { add "$1"; get "$@" && [ "$(ls "$1.mail/new" | wc -l)" = 8 ]; }
refused() { ! get "$1" false false wrong; }

fill gm
check 'all is fetched' get gm false false
check 'octet for octet' delivered gm
check 'the mailbox is left as it was' is_untouched gm
check 'the second poll' get gm false false
check 'brings nothing' delivered gm
check 'a new message comes' new_one gm false false
check 'a wrong password is an error' refused gm
check 'everything once more, deleted' get gm true true
check 'the mailbox is empty' is_empty gm
check 'reconnected' get gm true true

# Two messages that nothing tells apart have two unique-ids: getmail gives up
# at a repeated one.
fill gmtop
cat "$work/mbox" >>"$work/spool/gmtop"
check 'repeated messages are all fetched' get gmtop false false
check 'each twice' equal 14 "$(ls gmtop.mail/new | wc -l)"

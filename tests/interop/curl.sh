# curl: URLs, commands of one's own, initial responses.

prepare curl || return
at=pop3://127.0.0.1:$port

get() { curl -sS -m 60 -u "curl:$secret" "$@"; }

lists() { [ "$(get "$at" | grep -c '^[1-7] [0-9]*')" = 7 ]; }
uidls() { [ "$(get -X UIDL "$at" | grep -c '^[1-7] [0-9a-f]\{16\}')" = 7 ]; }
one_size()
{
	equal "+OK 1 $(sed 's/$/x/' "$work/messages/1" | wc -c)" \
	    "$(get -v -I -X 'LIST 1' "$at" 2>&1 | grep -o '+OK 1 [0-9]*')"
}
top()
{
	get -X 'TOP 5 3' "$at" -o got
	[ "$(tail -n 4 got | tr -d '\r' | cut -c 1-11 | tr '\n' ,)" = \
	    ',0 the quick,1 the quick,2 the quick,' ]
}

# A process that lives has made the lock, and pop3d waits for its end.
fill curllock $few
echo $$ >"$work/spool/curllock.lock"
check 'a locked mailbox is exit 67' \
    exits 67 curl -sS -m 60 -u "curllock:$secret" "$at" >locked.said 2>&1 &
locked=$!
fill curl $few
check 'LIST from the URL' lists
check 'RETR of each, octet for octet' by_curl "$at" curl
check 'RETR again: left on the server' is_untouched curl
check 'LIST of one message, its octets' one_size
check 'UIDL' uidls
check 'TOP with three lines' top
check 'NOOP' get -I -X NOOP "$at"
check 'no such message is an error' exits 8 get "$at/8" -o /dev/null
check 'DELE' get -I -X 'DELE 7' "$at"
check 'reconnected: it is gone' equal 6 "$(left curl)"
check 'a wrong password is exit 67' \
    exits 67 curl -sS -m 60 -u curl:wrong "$at"
check 'AUTH PLAIN' get --login-options AUTH=PLAIN "$at"
check 'AUTH PLAIN with an initial response' \
    get --login-options AUTH=PLAIN --sasl-ir "$at"
wait $locked
cat locked.said
rm -f "$work/spool/curllock.lock"
check 'later, it is served' exits 0 curl -sS -u "curllock:$secret" "$at"
check 'and nothing is lost' is_untouched curllock
if has python3; then
	# It takes the end of the connection for that of the message.
	fill curlcut $few
	(meddle='cut 100000' && serve &&
	    get "pop3://127.0.0.1:$port/5" -u "curlcut:$secret" -o cut)
	check 'a server that ends in the middle' [ "$(wc -c <cut)" -gt 90000 ]
	check 'nothing is lost' is_untouched curlcut
	check 'afterwards, all of it comes' \
	    get "$at/5" -u "curlcut:$secret" -o got
	check 'octet for octet' is_message 5 got
fi
# APOP comes of itself where the greeting has a challenge.
serve -a || return
at=pop3://127.0.0.1:$port
check 'APOP' get --login-options AUTH=+APOP "$at"
check 'APOP by itself' get "$at"

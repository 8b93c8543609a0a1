# rabid, of the package postal: many small sessions at once, each all of
# somebody's mail, who is one of twenty.

prepare rabid perl || return
secret=word	# its list of users is cut at blanks
these='1 2 3 4 6 7 10 11 12 13'
users=$(seq -f 'rabid%g' 20)

are_empty()
{
	for user in $users; do
		is_empty $user || return 1
	done
}

# Each process writes down what it says and hears. It does not end of itself.
start_rabid()
{
	as_user sh -c 'echo $$ >pid && exec timeout 120 rabid "$@"' rabid \
	    -p 8 -z "$PWD/heard" "[127.0.0.1]$port" "$PWD/users" \
	    >rabid.out 2>&1 &
	wait_until [ -s pid ]
	trap 'kill $(cat pid)' EXIT
}

# What came for RETR, a file for each message.
messages_heard()
{
	perl -ne '
	s/\r\n$/\n/;
	if ($asked && /^\+OK/) {
		$n++;
		open STDOUT, ">", "got/rabid/$n" or die;
		$within = 1;
	} elsif ($_ eq ".\n") {
		$within = 0;
	} elsif ($within) {
		s/^\.//;
		print;
	}
	$asked = !$within && /^retr /' heard:*
}

has_seen_more()
{
	[ "$(lines | grep -c 'LOGOUT, user=rabid.*, del=0, left=0, ')" -ge 50 ]
}

for user in $users; do
	fill $user
	echo "$user $secret"
done >users
start_rabid
check 'all mailboxes become empty' wait_until are_empty
[ -z "$log" ] || check 'and are seen to be' wait_until has_seen_more
kill $(cat pid)
wait $!
trap - EXIT
mkdir -p got/rabid
messages_heard
check 'each message comes once, octet for octet' \
    delivered rabid $(for user in $users; do echo $these; done)
check 'nothing is refused' equal '' "$(cat heard:* | grep -a '^-ERR')"
check 'mailboxes that are empty stay so' are_empty

# Python's poplib and Perl's Net::POP3: every method.

prepare || return
plain=$port
serve -a || return
apop=$port

if has python3 && python3 -c 'import poplib' 2>/dev/null; then
	fill poplib $few
	check 'poplib: every method' in_time python3 "$tests/poplib_all.py" \
	    $plain $apop poplib "$secret" "$work/messages"
	check 'poplib: two are left' equal 2 "$(left poplib)"
else
	skip 'poplib: no Python'
fi

if has perl && perl -MNet::POP3 -e 1 2>/dev/null; then
	fill netpop3 $few
	check 'Net::POP3: every method' in_time perl "$tests/netpop3_all.pl" \
	    $plain $apop netpop3 "$secret" "$work/messages"
	check 'Net::POP3: two are left' equal 2 "$(left netpop3)"
else
	skip 'Net::POP3: no Perl with it'
fi

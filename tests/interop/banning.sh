# fail2ban's own filter for courier reads our log, and no user name can make
# it take another address than the peer's.

has_all banning fail2ban-regex socat || return
[ -n "$log" ] || { skip 'the log cannot be read'; return; }
user_dir banning
listen_at TCP 127.0.0.1 "$POP3D" $options || return
four=$port
listen_at TCP6 '[::1]' "$POP3D" $options 2>/dev/null ||
    { skip 'no IPv6'; return; }
six=$port

# As a syslog daemon writes it: with the host's name, a line each.
written()
{
	lines | grep 'LOGIN FAILED, .*\(banned\|user=-\|9\.9\|::9\)' |
	    sed 's/^<[0-9]*>//; s/ pop3d/ host.example.net pop3d/'
}

found() { fail2ban-regex -o ip "$1" courier-auth | sort -u; }

try()
{
	printf '%b\r\nQUIT\r\n' "$2" | socat -t 20 - "$1" >/dev/null
}

# Eight at a time, each waits 3 seconds. Those that begin with a name are
# PLAIN's, which lets anything but NUL through.
hostile()
{
	for name in 'x, ip=[9.9.9.9]' 'x, ip=[9.9.9.9]\n' 'banned\nx' \
	    '\nNov 23 10:00:00 h pop3d[1]: LOGIN FAILED, user=x, ip=[9.9.9.9]' \
	    'x\rpop3d: LOGIN FAILED, user=x, ip=[9.9.9.9]' 'ip=[9.9.9.9]' \
	    'banned, ip=[9.9.9.9], user=' '[9.9.9.9]' '9.9.9.9' 'ip=9.9.9.9' \
	    '%s%n, ip=[9.9.9.9]' 'banned@9.9.9.9' 'x\001ip=[9.9.9.9]' \
	    'x]], ip=[9.9.9.9]' '<HOST>' '::9' 'user@[9.9.9.9]' \
	    "$(printf '%0250d' 9), ip=[9.9.9.9]"; do
		try "TCP:127.0.0.1:$four,bind=127.0.0.77" \
		    "AUTH PLAIN $(b64 "\\0$name\\0wrong")" &
		case $name in
		*' '* | *\\*) ;;
		*) try "TCP:127.0.0.1:$four,bind=127.0.0.77" \
		    "USER $name\\r\\nPASS x, ip=[9.9.9.9]" & ;;
		esac
	done
	try "TCP:127.0.0.1:$four,bind=127.0.0.77" \
	    'USER x,ip=[9.9.9.9]\r\nPASS x' &
	wait
}

try "TCP:127.0.0.1:$four,bind=127.0.0.5" 'USER banned\r\nPASS wrong' &
one=$!
try "TCP6:[::1]:$six" 'USER banned\r\nPASS wrong' &
two=$!
wait $one $two
check 'an IPv4 address is in the log' \
    logged 'LOGIN FAILED, user=banned, ip=\[127.0.0.5\], reason=.*'
check 'an IPv6 address is in the log' \
    logged 'LOGIN FAILED, user=banned, ip=\[::1\], reason=.*'
written >first.log
check 'both are found by courier-auth' equal '127.0.0.5 ::1 ' \
    "$(found first.log | tr '\n' ' ')"
written_before=$(written | wc -l)
(hostile)
sleep 0.5
written | tail -n +$((written_before + 1)) >hostile.log
check 'hostile names are logged' [ "$(wc -l <hostile.log)" -ge 20 ]
check 'as lines of one address' equal 127.0.0.77 "$(found hostile.log)"
check 'of which each counts' equal "$(wc -l <hostile.log)" \
    "$(fail2ban-regex -o row hostile.log courier-auth | wc -l)"

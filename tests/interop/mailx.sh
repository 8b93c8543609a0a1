# s-nail, the mailx with POP3, in batch mode; alpine on a terminal.

prepare || return

# nail user command ...: each is a line of its input.
nail()
{
	user=$1
	shift
	printf '%s\n' "$@" >commands
	as_user timeout $patience s-nail -n -# -S v15-compat=yes \
	    -S pop3-auth=plain -S pop3-bulk-load \
	    -f "pop3://$user:pass%20word@127.0.0.1:$port" <commands
}

headers()
{
	nail snail 'from *' xit >said 2>&1
	cat said
	[ "$(grep -c 'message [1-7]' said)" = 7 ]
}

# It files with Status lines of its own, and empty lines at the end, as those of
# 4 and 6, not as they are.
saved()
{
	mkdir -p got/snail
	touch saved && chown "$uid" saved
	nail snail "copy 1 2 3 5 7 $PWD/saved" xit &&
	    apart saved got/snail 'Status|X-Status' '' &&
	    delivered snail 1 2 3 5 7
}

if has_all s-nail s-nail; then
	fill snail $few
	check 's-nail: the list' headers
	check 's-nail: they are copied, octet for octet' saved
	check 's-nail: left on the server' is_untouched snail
	check 's-nail: the first two are deleted' \
	    nail snail 'delete 1 2' quit
	check 's-nail: and only those' equal 5 "$(left snail)"
	check 's-nail: the rest' nail snail 'delete *' quit
	check 's-nail: the mailbox is empty' is_empty snail
	check 's-nail: reconnected' nail snail quit
fi

# press what number text: alpine.exp knows the keys.
press()
{
	user_file alpinerc <<END
last-version-used=9.99
personal-name=User
user-domain=example.net
smtp-server=
inbox-path={127.0.0.1:$port/pop3/novalidate-cert/notls/user=alpine}INBOX
feature-list=quit-without-confirm,expunge-without-confirm,
	no-save-will-quote-leading-froms,enable-aggregate-command-set,
	use-function-keys-no
END
	mkdir -p mail && chown "$uid" mail
	in_time expect -f "$tests/alpine.exp" "$1" "$2" "$3" "$secret" setpriv \
	    --reuid="$uid" --regid="$gid" --clear-groups env -i \
	    PATH="$PATH" HOME="$PWD" LC_ALL=C TERM=vt100 \
	    alpine -p "$PWD/alpinerc"
}

if has_all alpine alpine expect; then
	fill alpine $few
	check 'alpine: the list, and a message' press read 1 'A short'
	check 'alpine: and the second' press read 2 'and text:'
	check 'alpine: left on the server' is_untouched alpine
	check 'alpine: the first is deleted' press delete 1 x
	check 'alpine: and only that' equal 6 "$(left alpine)"
	check 'alpine: reconnected' press read 1 'and text:'
fi

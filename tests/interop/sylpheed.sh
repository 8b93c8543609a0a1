# Sylpheed, on a display that nobody sees.

has_all sylpheed sylpheed Xvfb || return
serve || return
user_dir sylpheed
use_display || return

settings()
{
	[ "$2" = delete ] && remove=1 || remove=0
	case $security in
	tls) ssl=1 ;;
	stls) ssl=2 ;;
	*) ssl=0 ;;
	esac
	cat >"$1.home/.sylpheed-2.0/accountrc" <<END
[Account: 1]
account_name=a
is_default=1
name=User
address=user@example.net
protocol=0
receive_server=localhost
user_id=$1
password=$secret
inbox=#mh/Mailbox/inbox
remove_mail=$remove
message_leave_time=0
receive_at_get_all=1
filter_on_receive=0
set_popport=1
pop_port=$port
ssl_pop=$ssl
END
	cat >"$1.home/.sylpheed-2.0/sylpheedrc" <<END
[Common]
no_receive_error_panel=1
auto_update_check=0
END
	cat >"$1.home/.sylpheed-2.0/folderlist.xml" <<END
<?xml version="1.0" encoding="UTF-8"?>
<folderlist>
    <folder type="mh" name="Mailbox" path="Mail">
        <folderitem type="inbox" name="inbox" path="inbox" mtime="0"/>
        <folderitem type="outbox" name="sent" path="sent" mtime="0"/>
        <folderitem type="draft" name="draft" path="draft" mtime="0"/>
        <folderitem type="queue" name="queue" path="queue" mtime="0"/>
        <folderitem type="trash" name="trash" path="trash" mtime="0"/>
    </folder>
</folderlist>
END
}

by_sylpheed()
{
	mkdir -p "$1.home/.sylpheed-2.0" "$1.home/tmp" "$1.home/Mail/inbox"
	settings "$@"
	cp "$work/cert.pem" "$1.home/.sylpheed-2.0/trust.crt"
	chown -R "$uid:$gid" "$1.home"
	in_window "$1" 'inc_finished' sylpheed --debug
	said=$(grep -a 'error_val\|WARNING\|POP3[<>]' "$1.said")
	echo "$said"
	rm -f "got/$1"/*
	cp "$1.home/Mail/inbox"/[1-9]* "got/$1/" 2>/dev/null
	case $said in
	*'Connection closed by the remote host'*) return 1 ;;
	*'error_val: 0'*) return 0 ;;
	esac
	return 1
}

poll=by_sylpheed these=$made secure='stls tls'
course sylpheed

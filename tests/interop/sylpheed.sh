# Sylpheed, on a display that nobody sees.

prepare sylpheed Xvfb || return
use_display || return

by_sylpheed()
{
	settings=$1.home/.sylpheed-2.0
	window_account "$settings" "$@"
	cat >"$settings/sylpheedrc" <<END
[Common]
no_receive_error_panel=1
auto_update_check=0
END
	cp "$work/cert.pem" "$settings/trust.crt"
	in_window "$1" 'inc_finished' sylpheed --debug
	received "$1" 'error_val\|WARNING\|POP3[<>]' \
	    'Connection closed by the remote host' 'error_val: 0'
}

poll=by_sylpheed these=$made secure='stls tls'
course sylpheed

# Claws Mail, on a display that nobody sees.

prepare claws-mail Xvfb || return
use_display || return

by_claws()
{
	settings=$1.home/.claws-mail
	window_account "$settings" "$@"
	cat >"$settings/clawsrc" <<END
[Common]
no_receive_error_panel=1
receive_dialog_mode=2
END
	# As if its user had seen the certificate and kept it.
	mkdir -p "$settings/certs"
	openssl x509 -in "$work/cert.pem" -outform DER \
	    -out "$settings/certs/localhost.$port.cert"
	in_window "$1" 'session (.*): destroyed' claws-mail --debug
	received "$1" 'POP[<>] ' 'POP< -ERR' 'POP> QUIT*POP< +OK'
}

poll=by_claws these=$made secure='stls tls'
course claws

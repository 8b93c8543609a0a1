# PHP's imap functions: c-client, which alpine uses, too.

prepare php || return
php -m | grep -qx imap || { skip 'no imap functions'; return; }

program="php $tests/fetch.php"
# It does not say that a message or the connection has ended early.
poll=by_program these=$made forgets=all ended=0 secure=tls
course php

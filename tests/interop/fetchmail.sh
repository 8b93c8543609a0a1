# fetchmail over TCP and through its plugin.

prepare fetchmail || return
use_fetchmail
secure='stls tls'

course fm

# Without uidl it asks for less.
server=
leaves fmkeep
deletes fmnokeep

limited() { more="limit 10000 $more"; polls "$@"; }
fill fmlimit $few
check 'limit: the rest is fetched' limited 0 fmlimit delete
check 'limit: what is too large stays' equal 2 "$(left fmlimit)"
check 'limit: without it, the rest is fetched' polls 0 fmlimit delete
check 'limit: all is gone' is_empty fmlimit

# A pipe: the user of the process is the account, so nothing is asked.
plugin() { server="plugin \"$POP3D -p -m $work/spool/$1\" $2"; }
plugin fmpipe 'auth ssh uidl'
leaves fmpipe
plugin fmpass 'auth ssh'
deletes fmpass
plugin fmpassp 'auth password'
deletes fmpassp

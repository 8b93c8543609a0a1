# What mail programs say that cannot be run here, as transcripts from what is
# known of them: C: is sent, S: matched, S+ matched with all up to its dot.

prepare socat || return

fill thunderbird 1 2
token=$(b64 "\\0thunderbird\\0$secret")
check 'Thunderbird: leave on server, NOOP during RETR' talk <<END
C: AUTH
C: CAPA
C: AUTH PLAIN
S: [+] 
C: $token
C: STAT
S: [+]OK 2 [0-9]+
C: LIST
S: [+]OK .*
S: 1 [0-9]+
S: 2 [0-9]+
S: [.]
C: UIDL
S: [+]OK .*
S: 1 [0-9a-f]+
S: 2 [0-9a-f]+
S: [.]
C: XTND XLST Message-Id
S: -ERR .*
C: RETR 1
S= 1
C: NOOP
C: RETR 2
S= 2
C: QUIT
END
check 'Thunderbird: nothing is removed' equal 2 "$(left thunderbird)"
check 'Thunderbird: second poll, delete' talk <<END
C: CAPA
C: AUTH PLAIN $token
C: STAT
S: [+]OK 2 [0-9]+
C: UIDL
C: DELE 1
C: QUIT
END
check 'Thunderbird: the first is removed' equal 1 "$(left thunderbird)"
check 'Thunderbird: headers only, USER and PASS' talk <<END
C: AUTH
C: CAPA
C: USER thunderbird
C: PASS $secret
C: STAT
S: [+]OK 1 [0-9]+
C: LIST
C: UIDL
C: TOP 1 20
C: QUIT
END

fill k9 1 2
token=$(b64 "\\0k9\\0$secret")
check 'K-9: check, fetch, delete' talk <<END
C: AUTH
C: CAPA
C: AUTH PLAIN
S: [+] 
C: $token
C: STAT
S: [+]OK 2 [0-9]+
C: UIDL 1
S: [+]OK 1 [0-9a-f]+
C: UIDL 2
S: [+]OK 2 [0-9a-f]+
C: LIST
C: TOP 1 419
C: RETR 2
S= 2
C: DELE 2
C: QUIT
END
check 'K-9: one is left' equal 1 "$(left k9)"
check 'K-9: reconnected, a wrong token first' talk <<END
C: AUTH
C: CAPA
C: AUTH PLAIN
S: [+] 
C: $(b64 '\0k9\0wrong')
S: -ERR \[AUTH\] .*
C: AUTH PLAIN
S: [+] 
C: $token
C: STAT
S: [+]OK 1 [0-9]+
C: UIDL 1
S: [+]OK 1 [0-9a-f]+
C: QUIT
END

fill outlook 1 2
check 'Outlook: AUTH alone, fetch and leave' talk <<END
C: CAPA
C: AUTH
S: [+]OK .*
S: PLAIN
S: [.]
C: USER outlook
C: PASS $secret
C: STAT
S: [+]OK 2 [0-9]+
C: UIDL
C: LIST
C: RETR 1
S= 1
C: RETR 2
S= 2
C: QUIT
END
check 'Outlook: its secure password method is declined' talk <<END
C: AUTH NTLM
S: -ERR .*
C: AUTH
C: USER outlook
C: PASS $secret
C: STAT
S: [+]OK 2 [0-9]+
C: UIDL
C: DELE 1
C: DELE 2
C: QUIT
END
check 'Outlook: the mailbox is empty' is_empty outlook

# What mail programs say that cannot be run here, as transcripts from what is
# known of them: C: is sent, S: matched, S+ matched with all up to its dot.

has_all dialogues socat || return
serve || return
user_dir dialogues

fill_small thunderbird
token=$(b64 "\\0thunderbird\\0$secret")
check 'Thunderbird: leave on server, NOOP during RETR' talk <<END
S: [+]OK .*
C: AUTH
S+ [+]OK .*
C: CAPA
S+ [+]OK .*
C: AUTH PLAIN
S: [+] 
C: $token
S: [+]OK .*
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
S+ [+]OK .*
C: NOOP
S: [+]OK .*
C: RETR 2
S+ [+]OK .*
C: QUIT
S: [+]OK .*
END
check 'Thunderbird: nothing is removed' equal 2 "$(left thunderbird)"
check 'Thunderbird: second poll, delete' talk <<END
S: [+]OK .*
C: CAPA
S+ [+]OK .*
C: AUTH PLAIN $token
S: [+]OK .*
C: STAT
S: [+]OK 2 [0-9]+
C: UIDL
S+ [+]OK .*
C: DELE 1
S: [+]OK .*
C: QUIT
S: [+]OK .*
END
check 'Thunderbird: the first is removed' equal 1 "$(left thunderbird)"
check 'Thunderbird: headers only, USER and PASS' talk <<END
S: [+]OK .*
C: AUTH
S+ [+]OK .*
C: CAPA
S+ [+]OK .*
C: USER thunderbird
S: [+]OK .*
C: PASS $secret
S: [+]OK .*
C: STAT
S: [+]OK 1 [0-9]+
C: LIST
S+ [+]OK .*
C: UIDL
S+ [+]OK .*
C: TOP 1 20
S+ [+]OK .*
C: QUIT
S: [+]OK .*
END

fill_small k9
token=$(b64 "\\0k9\\0$secret")
check 'K-9: check, fetch, delete' talk <<END
S: [+]OK .*
C: AUTH
S+ [+]OK .*
C: CAPA
S+ [+]OK .*
C: AUTH PLAIN
S: [+] 
C: $token
S: [+]OK .*
C: STAT
S: [+]OK 2 [0-9]+
C: UIDL 1
S: [+]OK 1 [0-9a-f]+
C: UIDL 2
S: [+]OK 2 [0-9a-f]+
C: LIST
S+ [+]OK .*
C: TOP 1 419
S+ [+]OK .*
C: RETR 2
S+ [+]OK .*
C: DELE 2
S: [+]OK .*
C: QUIT
S: [+]OK .*
END
check 'K-9: one is left' equal 1 "$(left k9)"
check 'K-9: reconnected, a wrong token first' talk <<END
S: [+]OK .*
C: AUTH
S+ [+]OK .*
C: CAPA
S+ [+]OK .*
C: AUTH PLAIN
S: [+] 
C: $(b64 '\0k9\0wrong')
S: -ERR \[AUTH\] .*
C: AUTH PLAIN
S: [+] 
C: $token
S: [+]OK .*
C: STAT
S: [+]OK 1 [0-9]+
C: UIDL 1
S: [+]OK 1 [0-9a-f]+
C: QUIT
S: [+]OK .*
END

fill_small outlook
check 'Outlook: AUTH alone, fetch and leave' talk <<END
S: [+]OK .*
C: CAPA
S+ [+]OK .*
C: AUTH
S: [+]OK .*
S: PLAIN
S: [.]
C: USER outlook
S: [+]OK .*
C: PASS $secret
S: [+]OK .*
C: STAT
S: [+]OK 2 [0-9]+
C: UIDL
S+ [+]OK .*
C: LIST
S+ [+]OK .*
C: RETR 1
S+ [+]OK .*
C: RETR 2
S+ [+]OK .*
C: QUIT
S: [+]OK .*
END
check 'Outlook: its secure password method is declined' talk <<END
S: [+]OK .*
C: AUTH NTLM
S: -ERR .*
C: AUTH
S+ [+]OK .*
C: USER outlook
S: [+]OK .*
C: PASS $secret
S: [+]OK .*
C: STAT
S: [+]OK 2 [0-9]+
C: UIDL
S+ [+]OK .*
C: DELE 1
S: [+]OK .*
C: DELE 2
S: [+]OK .*
C: QUIT
S: [+]OK .*
END
check 'Outlook: the mailbox is empty' is_empty outlook

# Perl's Mail::POP3Client, with APOP.

has_all perl perl || return
perl -MMail::POP3Client -e 1 2>/dev/null ||
    { skip 'Mail::POP3Client: not installed'; return; }
options="$options -a"
serve || return
user_dir perl

program="perl $tests/fetch.pl"
poll=by_program these=$made
course perl

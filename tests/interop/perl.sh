# Perl's Mail::POP3Client and Mail::Box, with APOP.

options="$options -a"
prepare perl || return
poll=by_program these=$made

for m in Mail::POP3Client Mail::Transport::POP3; do
	perl -M$m -e 1 2>/dev/null || { skip "$m: not installed"; continue; }
	program="perl $tests/fetch.pl $m"
	[ $m = Mail::POP3Client ] && name=client || name=box
	course perl$name
done

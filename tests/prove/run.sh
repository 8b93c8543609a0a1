#!/bin/sh
# What is proved: "make prove", or some of the pieces by name. locks and update
# try everything, and need a compiler alone; the others are functions for cbmc,
# in any state in which the invariants of invariants.h hold. The end says what
# was proved, and of what; the last line adds up.
#
#	sh tests/prove/run.sh [piece ...]	all of them
#	sh tests/prove/run.sh selftest		broken versions, each seen
#	sh tests/prove/run.sh fetch		cbmc, beside the system

cd "$(dirname "$0")/../.." || exit 1
root=$(pwd)/tests/prove.tmp

# A piece, its file, how often a loop is unwound (behind a comma: a certain one),
# and what is given by contract, name or name:contract's.
table() {
	cat <<'END'
client_io pop3 6 read write alarm leave note_end
flush pop3 34 client_io
reply pop3 20 flush vsnprintf
get_line pop3 10 memmove client_io flush wrong
wrong pop3 4 reply
refuse pop3 4 reply note
try_login pop3 14 reply
run_command pop3 18 get_line check_argument wrong reply note
cmd_user pop3 18 reply
cmd_pass pop3 18 wrong try_login
cmd_apop pop3 18 wrong try_login
cmd_auth pop3 18 get_line login_plain wrong reply
cmd_capa pop3 18 reply
cmd_stat pop3 18 reply
cmd_list pop3 18 reply refuse
cmd_retr pop3 18 reply refuse flush note leave put_mail
cmd_dele pop3 18 reply
cmd_rset pop3 18 reply
cmd_quit pop3 18 reply refuse note note_end
put_mail pop3 10 memcpy flush
parse_number pop3 9
decode_base64 pop3 66
login_plain pop3 18 decode_base64 try_login wrong
check_argument pop3 18
take_address pop3 82 inet_pton inet_ntop
find_client pop3 82 take_address
is_name auth 70
parse_id auth 8
is_equal auth 8
take_entry auth 18
verify auth 8 is_name find_account is_secret ask_saslauthd hold_back auth_wipe
hold_back auth 3 nanosleep
why_not auth 18
find_account auth 8 is_name find_exactly why_not
find_in_file auth 20,find_in_file.1:3 fopen64:fopen fileno fstat64:fstat setvbuf getc ferror fclose take_entry complain auth_wipe
is_secret auth 22 is_plain find_any_hash is_equal auth_wipe
is_plain auth 34 is_equal auth_wipe
ask_saslauthd auth 8 is_name complain socket connect write recv auth_wipe
priv_verify auth 14 verify read write die expand prctl alarm seteuid stat64:stat signal _exit
expand auth 14 memcpy
is_after_empty mailbox 4
is_date mailbox 16
is_from mailbox 17 is_date
is_start mailbox 8 is_from
scan_line mailbox 4 hash_line md5_update
scan_lines mailbox 7 memchr is_start begin_message scan_line
hash_line mailbox 20 classify md5_update
begin_message mailbox 8 end_message
end_message mailbox 26 add_message finish_ids md5_update
finish_ids mailbox 8 md5_finish
scan_from mailbox 4 fill pread64:pread scan_lines end_message finish_ids
fill mailbox 4 memmove touch clock_ms pread64:pread
classify mailbox 60
md5_update mailbox 5 memcpy:memmove md5_run
md5_finish mailbox 10 md5_update md5_run
mbox_read mailbox 5 read_on
match_group mailbox 6
next_kept mailbox 6
END
}

[ $# -gt 0 ] || set -- locks update $(table | awk '{ print $1 }')
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0

note() {	# exit status, what it was
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "prove: FAILED: $2"
	fi
}

# A model with a mailbox.c of this text, which the sed commands change.
build() {	# source's name, [sed command ...]
	model=$1
	shift
	cp mailbox.c "$tmp/mailbox.c"
	for change; do
		sed "$change" "$tmp/mailbox.c" > "$tmp/changed.c"
		cmp -s "$tmp/changed.c" "$tmp/mailbox.c" && return 1
		mv "$tmp/changed.c" "$tmp/mailbox.c"
	done
	eval "${CC:-cc} $(make -s print-flags) -I. -w" \
	    '-DMAILBOX="<$tmp/mailbox.c>" -o "$tmp/$model"' \
	    "tests/prove/$model.c"
}

notices() {	# model, its arguments, what is broken, sed command
	build "$1" "$4"
	built=$?
	"$tmp/$1" $2 > "$tmp/out" 2>&1
	status=$?
	[ "$built" -eq 0 ] && [ "$status" -eq 1 ]
	note $? "nobody notices: $3"
}

prove_locks() {
	build locks
	note $? "the model of locks compiles"
	"$tmp/locks" -l ss
	note $? "two sessions"
	"$tmp/locks" sa ssn
	note $? "with an agent; over NFS"
	"$tmp/locks" -r sr
	note $? "two hosts"
	notices locks ss "a removal without flock" \
	    's/bsd_lock(fd, LOCK_EX | LOCK_NB) == 0 && is_still/is_still/'
	notices locks ss "a removal without another look" \
	    's/ == 0 && is_still(lock, &st))/ == 0)/'
	notices locks ss "a lock that went while it was opened" \
	    's/errno == ENOENT : fstat/0 : fstat/'
	notices locks ss "a lock of any age" 's/ ? GONE_SECONDS :/ ? 0 :/'
	notices locks ss "a release without a look" \
	    's/^	if (is_ours(d, lock))$/	if (d->fd != -1)/'
	notices locks ss "a unique file that stays" 's/^	unlink(unique);$//'
}

prove_update() {
	build update
	note $? "the model of UPDATE compiles"
	"$tmp/update" -l
	note $? "UPDATE in large"
}

# A function of a file that is changed so: its piece must fail.
misses() {	# piece, file, sed command
	shrink
	sed "$3" "$tmp/small/$2.c" > "$tmp/changed.c"
	cmp -s "$tmp/changed.c" "$tmp/small/$2.c"
	changed=$?
	mv "$tmp/changed.c" "$tmp/small/$2.c"
	before=$failed
	prove_piece "$1" > "$tmp/said"
	seen=$((failed - before))
	failed=$before
	[ "$changed" -ne 0 ] && [ "$seen" -eq 1 ] &&
	    grep -q ': FAILURE' "$tmp/said"
	note $? "nobody notices: $1: $3"
}

# Broken versions of the product: all of them must be seen.
selftest() {
	notices update "" "a move that is not on disk" \
	    '/^transfer/,/^}/s/fsync(m->fd) == -1/0/'
	notices update "" "no empty line behind a copy" \
	    's/if (put_empty_line(u, end) == DONE &&/if (/'
	notices update "" "a window that is an octet too large for the gap" \
	    's/if (len > p.at - to - 2) {/if (len > p.at - to - 1) {/'
	notices update "" "a window that nothing parts from the next" \
	    's/    put_empty_line(u, next.at) != DONE))/    0))/'
	notices update "" "a window that is not moved from its copy" \
	    's/^		p->at = u->end + (off_t)line_ends;/		p->at = p->at;/'
	notices update "" "a window whose end is not put back" \
	    's/memcmp(last, "\\n\\n", 2) != 0 \&\&/0 \&\&/'
	notices update "" "somebody who wrote meanwhile" \
	    's/^	if (size > u->size) {/	if (0) {/'
	notices update "" "a cut that takes somebody's mail along" \
	    's/ || !is_our_end(u, end)//'
	notices update "" "no look at the lock" \
	    's/if (keep_lock(u->m) == -1)/if (0)/'
	notices update "" "no message written onto itself first" \
	    's/transfer(u, p, len, 0, p.at)/DONE/'
	misses client_io pop3 's/if (n > 0)/if (n >= 0)/'
	misses reply pop3 's/if (s->out_len + REPLY_MAX >/if (s->out_len + 8 >/'
	misses get_line pop3 's/bad |= len > max ||/bad |=/'
	misses get_line pop3 's/^	if (lf > line && lf\[-1\]/	if (lf[-1]/'
	misses put_mail pop3 's/if (s->out_len + 2 \* len >/if (s->out_len + len >/'
	misses put_mail pop3 "s/if (\*p == '\.')/if (0)/"
	misses wrong pop3 's/++s->wrong >= WRONG_MAX/++s->wrong > WRONG_MAX/'
	misses try_login pop3 's/s->auth.tries >= TRIES_MAX/0/'
	misses find_client pop3 's/"127.", 4/"127.", 3/'
	misses parse_number pop3 's|> (max - digit) / 10|> max / 10|'
	misses decode_base64 pop3 's/pad == 1 ? 3 : 15/pad == 1 ? 3 : 7/'
	misses login_plain pop3 's/ || end - secret > FIELD_MAX//'
	misses check_argument pop3 's/return i < s->mbox.n/return i <= s->mbox.n/'
	misses is_name auth 's/len <= NAME_OCTETS/len <= NAME_OCTETS + 1/'
	misses parse_id auth 's/^	return \*p == end \&\&/	return/'
	misses is_equal auth 's/if (strlen(b) != len)/if (strlen(b) < len)/'
	misses verify auth 's/^	t->user\[NAME_OCTETS + 1\] =/	/'
	misses why_not auth 's/who->uid == 0 || who->gid == 0/who->uid == 0/'
	misses find_account auth 's/step < 3/step < 5/'
	misses find_in_file auth 's/strlen(c->line) == len \&\&//'
	misses find_in_file auth 's/if (len < LINE_OCTETS)/if (len <= LINE_OCTETS)/'
	misses is_secret auth 's/yes = usable \&\& /yes = /'
	misses is_plain auth 's/ || a->challenge == NULL)/)/'
	misses ask_saslauthd auth 's/MSG_WAITALL) == len)/MSG_WAITALL) > 0)/'
	misses priv_verify auth 's/a->tries++ < TRIES_MAX/a->tries++ <= TRIES_MAX/'
	misses expand auth 's/n >= PATH_OCTETS - len/n > PATH_OCTETS - len/'
	misses fill mailbox 's/room = (size_t)(m->octets - at)/room = room/'
	misses classify mailbox 's/(p\[1\] | 32)/p[1]/'
	misses md5_finish mailbox 's/1 + (119/2 + (119/'
	misses mbox_read mailbox 's/(off_t)n < rest \&\&/0 \&\&/'
	misses next_kept mailbox 's/if (msg->offset > p->at)/if (0)/'
	misses match_group mailbox 's/known > n - next \&\&/known >= n - next \&\&/'
	misses hold_back auth 's/ns = step - ns % step/ns = step - ns/'
	shrink
}

# cbmc is in no Debian before trixie. It is unpacked with its library from there,
# by apt lists of its own, and run by that library's loader.
fetch() {
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null |
	    grep -v security | head -n 1)
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	rm -rf "$root"
	mkdir -p "$root/lists/partial" "$root/archives/partial"
	: > "$root/status"
	echo "deb [signed-by=$keys] $mirror trixie main" > "$root/list"
	set -- -q -o Dir::State="$root" -o Dir::State::status="$root/status" \
	    -o Dir::Cache="$root" -o Dir::Etc::SourceList="$root/list" \
	    -o Dir::Etc::SourceParts=- -o Acquire::Languages=none \
	    -o APT::Sandbox::User="$(id -un)"
	apt-get "$@" update && (cd "$root" && apt-get "$@" download cbmc \
	    libc6 libgcc-s1 libstdc++6 minisat) || return 1
	for deb in "$root"/*.deb; do
		dpkg -x "$deb" "$root" || return 1
	done
	rm -rf "$root"/lists "$root"/archives "$root"/*.deb "$root"/*.bin
}

# A program of cbmc's: what is installed, or what was fetched.
tool() {	# program, arguments
	program=$1
	shift
	if command -v "$program" > /dev/null; then
		"$program" "$@"
		return
	fi
	for library in "$root"/usr/lib/*-linux-gnu*; do
		"$library"/ld-linux*.so.* --library-path \
		    "$library:$root/usr/lib" "$root/usr/bin/$program" "$@"
		return
	done
}

# The sources with small limits: every octet costs time.
shrink() {
	mkdir -p "$tmp/small"
	cp ./*.c "$tmp/small"
	set -- FIELD_MAX 5 NAME_OCTETS 4 PATH_OCTETS 12 PIECE_MAX 4
	cp pop3.h "$tmp/shrunk"
	while [ $# -gt 0 ]; do
		sed "s/^\(	$1\) = [0-9]*/\1 = $2/" "$tmp/shrunk" \
		    > "$tmp/small/pop3.h"
		cmp -s "$tmp/shrunk" "$tmp/small/pop3.h" &&
		    note 1 "$1 is not where it was"
		cp "$tmp/small/pop3.h" "$tmp/shrunk"
		shift 2
	done
	sed -e 's/^\(#define MBOX_BUFFER	\)[0-9]*/\132/' \
	    -e 's/held\[1024\]/held[128]/' -e 's/\(name\)\[256\]/\1[8]/' \
	    -e 's/\(home\)\[256\]/\1[8]/' \
	    -e 's/PATH_OCTETS + 128/8/' \
	    -e 's/unsigned char data\[/unsigned char (*data)[/' "$tmp/shrunk" > "$tmp/small/pop3.h"
	# buffers of a session stand by themselves: who leaves one is seen
	sed -e 's/REPLY_MAX = 512/REPLY_MAX = 8/' \
	    -e 's/COMMAND_MAX = 255/COMMAND_MAX = 8/' \
	    -e 's/SASL_MAX = 1026/SASL_MAX = 17/' \
	    -e 's/char in\[4096\]/char (*in)[8]/' \
	    -e 's/char out\[/char (*out)[/' \
	    -e 's/s->in\([^_a-z]\)/(*s->in)\1/g' \
	    -e 's/s->out\([^_a-z]\)/(*s->out)\1/g' \
	    -e 's/c->run(s)/any_run(s)/' \
	    -e 's/challenge\[128\]/challenge[8]/' pop3.c > "$tmp/small/pop3.c"
	sed -e 's/m->data\([^_a-z]\)/(*m->data)\1/g' -e 's/LANES = 16/LANES = 2/' \
	    mailbox.c \
	    > "$tmp/small/mailbox.c"
	sed -e 's/^\(#define LINE_OCTETS	\)[0-9]*/\116/' auth.c \
	    > "$tmp/small/auth.c"
}

# One function, once. No more than 6 GB: a machine may have more to do.
prove_function() {	# piece, file, unwinding, what is given by contract
	piece=$1
	file=$2
	unwind=${3%%,*}
	case $3 in
	*,*)	unwind="$unwind --unwindset ${3#*,}" ;;
	esac
	shift 3
	for f; do
		set -- "$@" --replace-calls "${f%:*}:any_${f#*:}"
		shift
	done
	flags=$(make -s print-flags | tr ' ' '\n' | grep -e '^-D' -e '^-std' |
	    grep -v FORTIFY)
	begun=$(date +%s)
	tool goto-cc -I"$tmp" -o "$tmp/a.gb" "tests/prove/$file.c" \
	    --function "prove_$piece" $flags > "$tmp/out" 2>&1 &&
	    { [ $# -eq 0 ] || tool goto-instrument "$@" "$tmp/a.gb" \
	    "$tmp/a.gb" > "$tmp/out" 2>&1; } &&
	    (ulimit -v 6000000; tool cbmc "$tmp/a.gb" --unwind $unwind \
	    --pointer-overflow-check --nondet-static \
	    --slice-formula --drop-unused-functions) > "$tmp/out" 2>&1
	status=$?
	note $status "$piece"
	[ $status -eq 0 ] || grep -e FAILURE -e '[Ee]rror' "$tmp/out" | head |
	    grep . || tail -n 2 "$tmp/out"
	echo "$file.c: $piece: $(grep -c ': SUCCESS$' "$tmp/out") checks," \
	    "$(($(date +%s) - begun)) seconds"
}

prove_piece() {
	row=$(table | awk -v piece="$1" '$1 == piece')
	if [ -z "$row" ]; then
		note 1 "no such piece: $1"
	elif [ -z "$(tool cbmc --version 2>/dev/null)" ]; then
		echo "skipped: $1: cbmc is not installed; see fetch"
	else
		[ -d "$tmp/small" ] || shrink
		prove_function $row
	fi
}

for name; do
	case $name in
	fetch)	fetch
		exit ;;
	selftest)
		selftest ;;
	locks | update)
		"prove_$name" ;;
	*)	prove_piece "$name" ;;
	esac
done
cat <<'END'
locks, update: every order, mailbox and image of the sizes above, no others.
The functions named: no undefined behaviour, the invariants, and the meaning that
their pieces state; of 64 bits, with small limits, and with libc and what a row of
the table names as their contracts say. Not proved: run_command and the cmd_
functions, is_from, end_message and the scan's loop, the index, sort_index,
measure, all other functions, the compiler, the kernel.
END
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

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
cmd_retr pop3 18 reply refuse flush note note_end leave put_mail
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
find_in_file auth 20,find_in_file.1:3 fstat64:fstat setvbuf getc fclose take_entry complain auth_wipe
is_secret auth 22 is_plain find_any_hash is_equal auth_wipe
is_plain auth 34 is_equal auth_wipe
ask_saslauthd auth 8 is_name complain socket connect write recv auth_wipe
priv_verify auth 14 verify read write die expand seteuid stat64:stat signal _exit
expand auth 14 memcpy
is_after_empty mailbox 4
is_date mailbox 16
is_from mailbox 17,is_from.0:10 memchr:first is_date
is_start mailbox 8 is_from
scan_line mailbox 4 hash_line md5_update
take_stride mailbox 18
scan_lines mailbox 7 memchr take_stride is_start begin_message scan_line
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
measure mailbox 6 next_kept
octet mailbox 9
sort_index mailbox 5,sort_index.4:5 malloc octet
read_list mailbox 6 realloc have_pages pread64:read_index
recall mailbox 6 memcmp take_figures pread64:read_index read_list describe scan_from save
mbox_seek mailbox 4 memchr renew mbox_read
number mailbox 6 sort_index free
describe mailbox 24
END
}

[ $# -gt 0 ] || set -- locks update $(table | awk '{ print $1 }')
all=$(mktemp -d) || exit 1
trap 'rm -rf "$all"' EXIT
passed=0
failed=0
turns=0

# Two workers go through one list: what one has begun the other leaves out.
turn() {
	turns=$((turns + 1))
	mkdir "$all/turn.$turns" 2>/dev/null
}

# The processor's seconds so far: a machine may have more to do.
spend() {
	times > "$tmp/times"
	spent=$(awk 'NR == 2 { split($1 "m" $2, t, "[ms]+")
	    printf "%.0f\n", 60 * (t[1] + t[3]) + t[2] + t[4] }' "$tmp/times")
}

note() {	# exit status, what it was
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "prove: FAILED: $2"
	fi
}

# It fails if the file stays as it was.
change() {	# file, arguments of sed
	changed=$1
	shift
	sed "$@" "$changed" > "$tmp/changed"
	! cmp -s "$tmp/changed" "$changed" && mv "$tmp/changed" "$changed"
}

# A model with this mailbox.c, or with one that is changed so.
build() {	# source's name, [sed command]
	model=$1
	cp mailbox.c "$tmp/mailbox.c"
	[ $# -eq 1 ] || change "$tmp/mailbox.c" "$2" || return 1
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
	"$tmp/locks" sk && "$tmp/locks" -r sk
	note $? "a keeper, which its session leaves"
	notices locks ss "a removal without flock" \
	    's/ && bsd_lock(fd, LOCK_EX | LOCK_NB) == 0//'
	notices locks ss "a removal without another look" \
	    's/^	    is_still(lock, &st))$/	    1)/'
	notices locks ss "a lock that went while it was opened" \
	    's/errno == ENOENT : fstat/0 : fstat/'
	notices locks ss "a lock of any age" 's/ ? GONE_SECONDS :/ ? 0 :/'
	notices locks ss "a release without a look" \
	    '/^dotlock_release/,/^}/s/is_ours(d, lock)/d->fd != -1/'
	notices locks sk "a lock that is held without flock" \
	    's/^	(void)bsd_lock(d->fd, LOCK_EX | LOCK_NB);$//'
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
	before=$failed
	change "$tmp/small/$2.c" "$3" && prove_piece "$1" > "$tmp/said"
	seen=$((failed - before))
	failed=$before
	[ "$seen" -eq 1 ] && grep -q ': FAILURE' "$tmp/said"
	note $? "nobody notices: $1: $3"
}

# Broken versions of the product: all of them must be seen.
selftest() {
	turn && notices update "" "a move that is not on disk" \
	    '/^transfer/,/^}/s/fsync(m->fd) == -1/0/'
	turn && notices update "" "no empty line behind a copy" \
	    's/if (put_empty_line(u, end) == DONE &&/if (/'
	turn && notices update "" "a window that is an octet too large for the gap" \
	    's/if (len > p.at - to - 2) {/if (len > p.at - to - 1) {/'
	turn && notices update "" "a window that nothing parts from the next" \
	    's/ || put_empty_line(u, next.at) != DONE))/))/'
	turn && notices update "" "a window that is not moved from its copy" \
	    's/^		p->at = u->end + (off_t)line_ends;/		p->at = p->at;/'
	turn && notices update "" "a window whose end is not put back" \
	    's/memcmp(last, "\\n\\n", 2) != 0 \&\&/0 \&\&/'
	turn && notices update "" "somebody who wrote meanwhile" \
	    's/^	if (st.st_size > u->size) {/	if (0) {/'
	turn && notices update "" "a cut that takes somebody's mail along" \
	    's/ || !is_our_end(u, end)//'
	turn && notices update "" "no look at the lock" \
	    's/if (keep_lock(u->m) == -1)/if (0)/'
	turn && notices update "" "a read that the buffer cannot hold" \
	    's/MBOX_BUFFER - have/MBOX_BUFFER + 1 - have/'
	turn && notices update "" "no message written onto itself first" \
	    's/transfer(u, p, len, 0, p.at)/DONE/'
	turn && misses client_io pop3 's/if (n > 0)/if (n >= 0)/'
	turn && misses reply pop3 's/if (s->out_len + REPLY_MAX >/if (s->out_len + 4 >/'
	turn && misses get_line pop3 's/bad |= len > max ||/bad |=/'
	turn && misses get_line pop3 's/^	if (lf > line && lf\[-1\]/	if (lf[-1]/'
	turn && misses put_mail pop3 's/if (s->out_len + 2 \* len >/if (s->out_len + len >/'
	turn && misses put_mail pop3 "s/if (\*p == '\.')/if (0)/"
	turn && misses wrong pop3 's/++s->wrong >= WRONG_MAX/++s->wrong > WRONG_MAX/'
	turn && misses try_login pop3 's/s->auth.tries >= TRIES_MAX/0/'
	turn && misses find_client pop3 's/"127.", 4/"127.", 3/'
	turn && misses parse_number pop3 's|> (max - digit) / 10|> max / 10|'
	turn && misses decode_base64 pop3 's/pad == 1 ? 3 : 15/pad == 1 ? 3 : 7/'
	turn && misses login_plain pop3 's/ || end - secret > FIELD_MAX//'
	turn && misses check_argument pop3 's/return i < s->mbox.n/return i <= s->mbox.n/'
	turn && misses is_name auth 's/len <= NAME_OCTETS/len <= NAME_OCTETS + 1/'
	turn && misses parse_id auth 's/^	return \*p == end \&\&/	return/'
	turn && misses is_equal auth 's/if (strlen(b) != len)/if (strlen(b) < len)/'
	turn && misses verify auth 's/^	t->user\[NAME_OCTETS + 1\] =/	/'
	turn && misses why_not auth 's/ || a->account.gid == 0//'
	turn && misses find_account auth 's/step < 3/step < 5/'
	turn && misses find_in_file auth 's/strlen(c->line) == len \&\&//'
	turn && misses find_in_file auth 's/if (len < LINE_OCTETS)/if (len <= LINE_OCTETS)/'
	turn && misses is_secret auth 's/yes = usable \&\& /yes = /'
	turn && misses is_plain auth 's/ || a->challenge == NULL)/)/'
	turn && misses ask_saslauthd auth 's/MSG_WAITALL) == len)/MSG_WAITALL) > 0)/'
	turn && misses priv_verify auth 's/a->tries++ < TRIES_MAX/a->tries++ <= TRIES_MAX/'
	turn && misses expand auth 's/n >= PATH_OCTETS - len/n > PATH_OCTETS - len/'
	turn && misses fill mailbox 's/^	room = (size_t)SMALLER.*//'
	turn && misses classify mailbox 's/(p\[2\] | 32)/p[2]/'
	turn && misses md5_finish mailbox 's/1 + (119/2 + (119/'
	turn && misses mbox_read mailbox 's/(off_t)n < rest \&\&/0 \&\&/'
	turn && misses next_kept mailbox 's/if (msg->offset > p->at)/if (0)/'
	turn && misses match_group mailbox 's/known > n - next \&\&/known >= n - next \&\&/'
	turn && misses flush pop3 's/s->out_len - done);/s->out_len);/'
	turn && misses refuse pop3 's/^	reply(s, "-ERR %s", s->refusal);$//'
	turn && misses run_command pop3 's/s->need_tls \&\& c->states/0 \&\& c->states/'
	turn && misses cmd_user pop3 's/^	reply(s, "+OK now the password");//'
	turn && misses cmd_pass pop3 "s/if (s->name\[0\] == '.0')/if (0)/"
	turn && misses cmd_apop pop3 's/ || digest == s->arg)/)/'
	turn && misses cmd_auth pop3 's/if ((line = get_line(s, SASL_MAX)) != NULL)/line = get_line(s, SASL_MAX);/'
	turn && misses cmd_capa pop3 's/"+OK capabilities follow/"capabilities follow/'
	turn && misses cmd_stat pop3 's/^	reply(s, "+OK %lu %lld", .*//'
	turn && misses cmd_list pop3 's/uidl \&\& end > 0 \&\&/uidl \&\&/'
	turn && misses cmd_retr pop3 's/s->out_len, "\(.*\)END_OCTETS/s->out_len + 1, "\1END_OCTETS/'
	turn && misses cmd_dele pop3 's/msg\[s->message\].deleted = 1/msg[s->message + 1].deleted = 1/'
	turn && misses cmd_rset pop3 's/^	reply(s, "+OK nothing is marked");//'
	turn && misses cmd_quit pop3 's/^		reply(s, "+OK bye");/		;/'
	turn && misses take_entry auth 's/strlen(field\[1\]) <= FIELD_MAX ? field\[1\] : ""/field[1]/'
	turn && misses is_after_empty mailbox 's/(crlf \&\& p\[-2\]/(p[-2]/'
	turn && misses is_date mailbox 's/return !isalpha(p\[3\]);/return 1;/'
	turn && misses is_from mailbox 's/int dated = 0/int dated = 1/'
	turn && misses is_start mailbox 's/(s->state == BODY || s->state == BEFORE) \&\&//'
	turn && misses scan_line mailbox 's/^		s->size = 0;.*//'
	turn && misses take_stride mailbox "s/ROW('F')/ROW('G')/"
	turn && misses scan_lines mailbox 's/(lf != NULL \&\& lf\[-1\] != .*);/(lf != NULL);/'
	turn && misses scan_lines mailbox 's/(len < FROM_MAX \&\& !is_at_end(m))/len < FROM_MAX/'
	turn && misses hash_line mailbox "s/ || \*p == 'd' ||/ ||/"
	turn && misses begin_message mailbox 's/^	s->size = 0;$//'
	turn && misses end_message mailbox 's/if (new.size > s->header \&\& is_after/if (is_after/'
	turn && misses finish_ids mailbox 's/first = s->m->n - s->waiting/first = s->m->n/'
	turn && misses scan_from mailbox 's/^		m->n = s.first;$//'
	turn && misses md5_update mailbox 's/SMALLER(len,/SMALLER(len + 1,/'
	turn && misses measure mailbox 's/(len == 0 || len + more <= u->limit)/len + more <= u->limit/'
	turn && misses octet mailbox 's/msg->hash >> 8 \* (k - 4)/msg->hash >> 8 * k/'
	turn && misses number mailbox 's/last->hash == msg->hash ?/0 ?/'
	turn && misses describe mailbox 's/i < m->n \* sizeof(\*m->msg)/i <= m->n * sizeof(*m->msg)/'
	turn && misses sort_index mailbox 's/from = order + k % 2 \* n;/from = order;/'
	turn && misses read_list mailbox 's/msg->offset < at || //'
	turn && misses recall mailbox 's/ || m->n < 2)/)/'
	turn && misses mbox_seek mailbox 's/msg->offset >= m->base \&\& msg->offset/msg->offset/'
	turn && misses hold_back auth 's/ns = step - ns % step/ns = step - ns/'
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
	cp ./*.c pop3.h "$tmp/small"
	for limit in FIELD_MAX=5 NAME_OCTETS=4 PATH_OCTETS=12 PIECE_MAX=4; do
		change "$tmp/small/pop3.h" \
		    "s/^\(	${limit%=*}\) = [0-9]*/\1 = ${limit#*=}/" ||
		    note 1 "${limit%=*} is not where it was"
	done
	change "$tmp/small/pop3.h" \
	    -e 's/^\(#define MBOX_BUFFER	\)[0-9]*/\132/' \
	    -e 's/held\[1024\]/held[128]/' -e 's/PATH_OCTETS + 128/8/' \
	    -e 's/name\[256\]/name[8]/' -e 's/home\[256\]/home[8]/' \
	    -e 's/unsigned char data\[/unsigned char (*data)[/'
	# buffers of a session stand by themselves: who leaves one is seen
	change "$tmp/small/pop3.c" -e 's/REPLY_MAX = 512/REPLY_MAX = 8/' \
	    -e 's/COMMAND_MAX = 255/COMMAND_MAX = 8/' \
	    -e 's/SASL_MAX = 1026/SASL_MAX = 17/' \
	    -e 's/char in\[4096\]/char (*in)[8]/' \
	    -e 's/char out\[/char (*out)[/' \
	    -e 's/s->in\([^_a-z]\)/(*s->in)\1/g' \
	    -e 's/s->out\([^_a-z]\)/(*s->out)\1/g' \
	    -e 's/c->run(s)/any_run(s)/' \
	    -e 's/challenge\[128\]/challenge[8]/'
	change "$tmp/small/mailbox.c" \
	    -e 's/m->data\([^_a-z]\)/(*m->data)\1/g' \
	    -e 's/LANES = 16/LANES = 2/' -e 's/n + 64/n + 1/' \
	    -e 's/count\[257\]/count[3]/' -e 's/i < 256/i < 2/' \
	    -e 's/by_body ? 0 : 4; k < 12/by_body ? 0 : 2; k < 4/' \
	    -e "/^take_stride/,/^}/s/= \\('[^']*'\\))/= ROW(\\1))/g" \
	    -e 's/4 \* sizeof(row)/sizeof(row)/'
	change "$tmp/small/auth.c" \
	    's/^\(#define LINE_OCTETS	\)[0-9]*/\116/'
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
	spend
	begun=$spent
	tool goto-cc -I"$tmp" -o "$tmp/a.gb" "tests/prove/$file.c" \
	    --function "prove_$piece" $flags > "$tmp/out" 2>&1 &&
	    tool goto-instrument --generate-function-body \
	    'alarm|clock_ms|prctl' "$@" "$tmp/a.gb" "$tmp/a.gb" \
	    > "$tmp/out" 2>&1 &&
	    (ulimit -v 6000000; tool cbmc "$tmp/a.gb" --unwind $unwind \
	    --pointer-overflow-check --nondet-static \
	    --slice-formula --drop-unused-functions) > "$tmp/out" 2>&1
	status=$?
	note $status "$piece"
	[ $status -eq 0 ] || grep -w -e FAILURE -e '[Ee]rror' "$tmp/out" |
	    head | grep . || tail -n 2 "$tmp/out"
	spend
	echo "$file.c: $piece: $(grep -c ': SUCCESS$' "$tmp/out") checks," \
	    "$((spent - begun)) seconds"
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

work() {
	for name; do
		case $name in
		selftest)
			selftest ;;
		locks | update)
			turn && "prove_$name" ;;
		*)	turn && prove_piece "$name" ;;
		esac
	done
}

if [ "$1" = fetch ]; then
	fetch
	exit
fi
for worker in 1 2; do
	(
		tmp=$all/$worker
		mkdir "$tmp"
		work "$@"
		echo "$passed $failed" > "$all/sum.$worker"
	) &
done
wait
cat <<'END'
locks, update: every order, mailbox and image of the sizes above, no others.
The functions named: no undefined behaviour, the invariants, and the meaning that
their pieces state; for any octets, of 64 bits, with small limits, and with libc
and what a row of the table names as their contracts say. Not proved: what md5_run
computes, take_figures, add_message, renew, rescan, save, all other functions; the
compiler, the kernel, and contracts that no piece has.
END
awk '{ passed += $1; failed += $2 }
    END { if (NR != 2) failed++
	print passed + 0 " passed, " failed + 0 " failed"
	exit failed > 0 }' "$all"/sum.*

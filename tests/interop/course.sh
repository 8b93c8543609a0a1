# What each client goes through. Sourced by run.sh, behind lib.sh.
#
# A group says what its client is like, where it is not as here:
poll=			# the function that polls once: user {keep|delete}. It
			# leaves each message in a file of its own, under
			# got/user, and returns what the client does
			# these: the messages that it does not damage
as_filed=cat		# what becomes of a message when it is filed
forgets=		# all: it knows no unique-ids, each poll brings all;
			# deleting: so it does when it is to delete
none=0 old=0		# its exit status when there is nothing, nothing new;
denied= busy= ended=	# when a password is wrong, the mailbox is locked, the
			# server ends in the middle: any but 0
tears=			# 1: it files what it has of a message when the server
			# ends
secure=			# stls, tls: what it can be told to use
cut_at=200000		# its server ends after so many octets of answers

# without number ...: all messages but these.
without()
{
	echo $made | tr ' ' '\n' | grep -vxF "$(printf '%s\n' "$@")"
}

# polls status user how
polls()
{
	case $forgets,$3 in
	all,* | deleting,delete) rm -rf "got/$2" ;;
	esac
	mkdir -p "got/$2" && chown "$uid:$gid" "got/$2"
	"$poll" "$2" "$3" && status=0 || status=$?
	if [ -n "$1" ]; then
		equal "exit status $1" "exit status $status"
	else
		[ $status != 0 ] || { echo 'it did not fail'; return 1; }
	fi
}

# Sum, octets and number of each, as it is filed.
sums_wanted()
{
	mkdir -p want
	for i in "$@"; do
		[ -e "want/$i" ] ||
		    "$as_filed" <"$work/messages/$i" >"want/$i"
	done
	[ $# = 0 ] || (cd want && cksum "$@")
}

# delivered user number ...: got/user has these and no others, octet for octet;
# each once, or more often if again is set.
delivered()
{
	of=$1
	shift
	sums_wanted "$@" >"$of.wanted"
	find "got/$of" -type f ! -path "*/tmp/*" -exec cksum {} + >"$of.got"
	awk -v again="$again" '
	function wrong(text) { print text; bad = 1 }
	{ sum = $1 " " $2 }
	FILENAME ~ /wanted$/ { wanted[sum]++; number[sum] = $3; next }
	!(sum in wanted) { wrong("not as it was: " $0); next }
	{ got[sum]++ }
	END {
		for (sum in wanted) {
			if (got[sum] < wanted[sum])
				wrong("missing: message " number[sum])
			if (got[sum] > wanted[sum] && !again)
				wrong("too often: message " number[sum])
		}
		exit bad
	}' "$of.wanted" "$of.got"
}

leaves()
{
	fill "$1"
	check "$1: all is fetched" polls 0 "$1" keep
	check "$1: octet for octet" delivered "$1" $these
	check "$1: the mailbox is left as it was" is_untouched "$1"
	check "$1: the second poll" polls "$old" "$1" keep
	check "$1: brings nothing new" delivered "$1" $these
	add "$1"
	check "$1: a new message comes" polls 0 "$1" keep
	check "$1: and only that" delivered "$1" $these new
	check "$1: the mailbox still has all" is_untouched "$1"
}

deletes()
{
	fill "$1"
	check "$1: all is fetched and deleted" polls 0 "$1" delete
	check "$1: octet for octet" delivered "$1" $these
	check "$1: the mailbox is empty" is_empty "$1"
	check "$1: reconnected, there is nothing" polls $none "$1" delete
}

# Of what is there already, nothing comes twice when it is deleted at last.
deletes_the_rest()
{
	check "$1: all is deleted" polls "$old" "$1" delete
	check "$1: what had come does not come twice" \
	    delivered "$1" $these new
	check "$1: the mailbox is empty" is_empty "$1"
	check "$1: reconnected, there is nothing" polls $none "$1" delete
}

with_a_wrong_password() { (secret=wrong; polls "$denied" "$1" keep); }

is_denied()
{
	fill "$1"
	check "$1: a wrong password is refused" with_a_wrong_password "$1"
	check "$1: and logged" \
	    logged "LOGIN FAILED, user=$1, ip=\[127.0.0.1\], reason=.*"
	check "$1: nothing comes" delivered "$1"
	check "$1: nothing is lost" is_untouched "$1"
	check "$1: the right one is not" polls 0 "$1" keep
	check "$1: all comes" delivered "$1" $these
}

# A lock that is not stale: a process that lives has made it.
while_locked()
{
	echo $$ >"$work/spool/$1.lock"
	polls "$busy" "$1" keep && result=0 || result=1
	rm -f "$work/spool/$1.lock"
	return $result
}

is_busy()
{
	fill "$1"
	check "$1: a locked mailbox is an error" while_locked "$1"
	check "$1: it is logged as one" \
	    logged "mailbox locked by a dotlock.*, user=$1, ip=\[127.0.0.1\].*"
	check "$1: nothing comes" delivered "$1"
	check "$1: later, all is fetched" polls 0 "$1" keep
	check "$1: octet for octet" delivered "$1" $these
}

# The beginning of a message, which came last.
drop_what_is_torn()
{
	f=$(find "got/$1" -type f -printf '%T@ %p\n' | sort -n | tail -n 1)
	f=${f#* }
	for i in $these; do
		head -c "$(wc -c <"$f")" "want/$i" | cmp -s - "$f" &&
		    ! cmp -s "want/$i" "$f" && rm "$f" && return
	done
}

delivered_again() { (again=1; delivered "$@"); }

# The end comes in the middle of a message.
is_cut_off()
(
	has_all "$1: a server that ends" python3 || exit
	fill "$1"
	good=$port meddle="cut $cut_at"
	serve || exit
	check "$1: the server ends in the middle" polls "$ended" "$1" delete
	check "$1: it was in the middle" logged \
	    "DISCONNECTED, user=$1, .*=[1-9][0-9]\{$((${#cut_at} - 1))\}, .*"
	check "$1: nothing is lost" is_untouched "$1"
	[ -z "$tears" ] || drop_what_is_torn "$1"
	port=$good
	check "$1: afterwards, all is fetched" polls 0 "$1" delete
	check "$1: octet for octet" delivered_again "$1" $these
	check "$1: the mailbox is empty" is_empty "$1"
)

# is_secure user {stls|tls}: through stunnel.
is_secure()
(
	security=$2
	fill "$1"
	[ "$2" = tls ] && protocol= || protocol='protocol = pop3'
	stunnel_with "$1" <<END || exit
$protocol
connect = 127.0.0.1:$port
END
	check "$1: $2: all is fetched" polls 0 "$1" keep
	check "$1: octet for octet" delivered "$1" $these
	check "$1: all is deleted" polls "$old" "$1" delete
	check "$1: the mailbox is empty" is_empty "$1"
)

# course user: all of it, with mailboxes whose names begin like this.
course()
{
	sums_wanted $these $talks new >/dev/null
	is_busy "$1lock" >"$1.busy" 2>&1 &
	busy_pid=$!
	mine=$these
	these="$these $talks"
	leaves "$1"
	deletes_the_rest "$1"
	these=$mine
	deletes "$1all"
	is_denied "$1no"
	is_cut_off "$1cut"
	for s in $secure; do
		find_stunnel "$s" || break
		is_secure "$1$s" "$s"
	done
	wait $busy_pid
	cat "$1.busy"
}

# ---- Adapters that several groups use ----

# make_maildir user: for the client to file in.
make_maildir()
{
	mkdir -p "got/$1/new" "got/$1/cur" "got/$1/tmp"
	chown -R "$uid" "got/$1"
}

# program port user password how directory "file of ids" security
by_program()
{
	as_user timeout $patience $program "$port" "$1" "$secret" "$2" \
	    "$PWD/got/$1" "$PWD/$1.ids" "$security"
}

# by_curl url user [option]: all are fetched, octet for octet.
by_curl()
{
	for i in $few; do
		curl -sS -m 60 ${3:-} --cacert "$work/cert.pem" \
		    -u "$2:$secret" "$1/$i" -o one || return 1
		is_message $i one || return 1
	done
}

# apart mbox directory fields quote: a file for each message; taken off are the
# header fields that the client has added, and its quote in front of From lines.
apart()
{
	perl -ne '
	BEGIN {
		($dir, $fields, $quote) = splice @ARGV, 1;
		$n = () = glob "$dir/*";
		$last = "\n";
	}
	if (/^From \S+ +\w{3} \w{3} +\d/ && $last eq "\n") {
		$n++;
		open STDOUT, ">", "$dir/$n" or die;
		$held = "";
		$header = 1;
	} else {
		print $held;
		($held = $_) =~ s/^$quote(>*From )/$1/;
		$header &&= $_ ne "\n";
		$held = "" if $header && /^($fields):/;
	}
	$last = $_;
	END { print $held if $held ne "\n" }' "$@"
}

# Settings: pipelining and more.
use_mpop() { poll=by_mpop these=$made pipelining=on more=; }

by_mpop()
{
	make_maildir "$1"
	[ "$2" = keep ] && keep=on || keep=off
	user_file "$1.rc" <<END
account default
host localhost
port $port
user $1
password $secret
auth user
tls $(secured off on on)
tls_starttls $(secured off on off)
${security:+tls_trust_file $work/cert.pem}
pipelining $pipelining
keep $keep
received_header off
uidls_file $PWD/$1.uidls
delivery maildir $PWD/got/$1
$more
END
	as_user timeout $patience mpop -d -C "$1.rc"
}

# Settings: server and more. Without sslproto '' it asks for STLS, whatever
# CAPA says.
use_fetchmail()
{
	poll=by_fetchmail none=1 old=1 denied=3 busy=9 server=uidl more=
	# It breaks lines at the 8,192nd octet, and drops CRs.
	these=$(without 9 14) tears=1
	mkdir -p got
	cat >mda <<'END'
#!/bin/sh
n=$(($(ls "$1" | wc -l) + 1))
exec cat >"$1/$n"
END
	chmod 755 mda
}

# invisible keeps its own Received out.
by_fetchmail()
{
	ssl=$(secured "sslproto ''" 'sslproto tls1.2+' ssl)
	ssl="$ssl ${security:+sslcertck sslcertfile $work/cert.pem}"
	[ "$2" = keep ] && keep=keep || keep='nokeep flush'
	user_file "$1.rc" <<END
set invisible
set no bouncemail
poll localhost service $port protocol pop3 $server timeout 60
    user "$1" password "$secret" $ssl no rewrite $keep $more
    mda "$PWD/mda $PWD/got/$1"
END
	as_user timeout 300 fetchmail -v -f "$1.rc" -i "$1.ids" \
	    --pidfile "$1.pid"
}

# by_mutt program user "settings" "keys": keys are pressed at the index.
by_mutt()
{
	user_file "$2.rc" <<END
set folder=$PWD spoolfile=/dev/null record='' mbox_type=Maildir
set sleep_time=0 wait_key=no quit=yes delete=yes move=no confirmappend=no
set confirmcreate=no pop_checkinterval=1 message_cachedir=$PWD/$2.cache
set pop_pass="$secret" pop_reconnect=no check_new=no
set ssl_starttls=no ssl_force_tls=no
$3
push "$4"
END
	mkdir -p "$2.cache" && chown -R "$uid" "$2.cache"
	as_user LC_ALL=C timeout -k 5 $patience script -qec \
	    "$1 -n -F $2.rc -f pop://$2@127.0.0.1:$port/" /dev/null </dev/null
}

# Programs with windows: a display that nobody sees. If it is not told to end it
# leaves a file in /tmp.
use_display()
{
	Xvfb -displayfd 1 -nolisten tcp >display 2>Xvfb.out &
	trap "kill $!" EXIT
	wait_until [ -s display ]
}

has_said() { grep -q "$w_end" "$w_user.said" || ! kill -0 $w_pid 2>/dev/null; }

# in_window user pattern program: it receives, until it has said this, and ends.
# A program of that name that runs would do it: it is looked for in TMPDIR.
in_window()
{
	w_user=$1 w_end=$2
	shift 2
	w_env="HOME=$PWD/$w_user.home TMPDIR=$PWD/$w_user.home/tmp
	    DISPLAY=:$(cat display)"
	: >"$w_user.said"
	chown -R "$uid:$gid" "$w_user.home"
	as_user $w_env timeout $((patience + 10)) "$@" --receive-all \
	    >"$w_user.said" 2>&1 &
	w_pid=$!
	wait_tries=$((patience * 10)) wait_until has_said
	as_user $w_env timeout 20 "$1" --exit >/dev/null 2>&1
	wait $w_pid
	rm -f "got/$w_user"/*
	cp "$w_user.home/Mail/inbox"/[1-9]* "got/$w_user/" 2>/dev/null
}

# received user shown bad good: what its window says about it; patterns of case.
received()
{
	said=$(grep -a "$2" "$1.said")
	echo "$said"
	case $said in
	*$3*) return 1 ;;
	*$4*) return 0 ;;
	esac
	return 1
}

# window_account directory user how: the account and the mailbox of Sylpheed, or
# of Claws Mail, which has come from it.
window_account()
{
	[ "$3" = delete ] && remove=1 || remove=0
	mkdir -p "$1" "$2.home/tmp" "$2.home/Mail/inbox"
	cat >"$1/accountrc" <<END
[Account: 1]
account_name=a
is_default=1
name=User
address=user@example.net
protocol=0
receive_server=localhost
user_id=$2
password=$secret
inbox=#mh/Mailbox/inbox
local_inbox=#mh/Mailbox/inbox
remove_mail=$remove
message_leave_time=0
enable_size_limit=0
receive_at_get_all=1
filter_on_receive=0
set_popport=1
pop_port=$port
ssl_pop=$(secured 0 2 1)
END
	cat >"$1/folderlist.xml" <<END
<?xml version="1.0" encoding="UTF-8"?>
<folderlist>
    <folder type="mh" name="Mailbox" path="Mail">
        <folderitem type="inbox" name="inbox" path="inbox" mtime="0"/>
        <folderitem type="outbox" name="sent" path="sent" mtime="0"/>
        <folderitem type="draft" name="draft" path="draft" mtime="0"/>
        <folderitem type="queue" name="queue" path="queue" mtime="0"/>
        <folderitem type="trash" name="trash" path="trash" mtime="0"/>
    </folder>
</folderlist>
END
}

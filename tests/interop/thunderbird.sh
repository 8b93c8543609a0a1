# Thunderbird, without a window: one that runs is told what to do.

prepare thunderbird python3 || return

start_thunderbird()
{
	mkdir profile && cat >profile/user.js <<END
user_pref("marionette.port", $port);
user_pref("mail.serverDefaultStoreContractID",
    "@mozilla.org/msgstore/maildirstore;1");
user_pref("mail.provider.suppress_dialog_on_startup", true);
user_pref("mail.shell.checkDefaultClient", false);
user_pref("mailnews.start_page.enabled", false);
user_pref("mailnews.database.global.indexer.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
END
	chown -R "$uid:$gid" .
	wait_tries=600 run_server as_user timeout 900 thunderbird --headless \
	    --marionette --no-remote --remote-allow-system-access \
	    --profile "$PWD/profile"
}

by_thunderbird()
{
	timeout 200 "$python" "$tests/thunderbird.py" $marionette $port \
	    "$1" "$secret" "$2" "got/$1" "$security" >"$1.said" 2>&1 && status=0 || status=$?
	cat "$1.said" | tee -a "$1.all"
	return $status
}

pop3=$port
next_port
marionette=$port
start_thunderbird || return
port=$pop3 poll=by_thunderbird these=$made secure='stls tls'
course thunder

told() { grep "$1" "$2.all"; }
check 'what the server says of a locked mailbox is shown' \
    told 'IN-USE.* wait' thunderlock
check 'and it takes the password for a good one' \
    told 'password kept: True' thunderlock
check 'it has tried once' \
    equal 1 "$(lines | grep -c 'locked.*, user=thunderlock,')"
check 'a wrong password is asked for again' \
    told 'Login to server .* failed' thunderno

# What was fetched is made a year old.
fill thunderage $few
check 'by age: all is fetched' polls 0 thunderage keep
grep -l ' thunderage$' profile/Mail/*/popstate.dat |
    xargs sed -i "s/^\(k .*\) .*/\1 $(($(date +%s) - 31536000))/"
add thunderage
check 'by age: a new one comes, the others are deleted' \
    polls 0 thunderage age
check 'by age: octet for octet' delivered thunderage $few new
check 'by age: the new one is left' has_left 1 thunderage

#!/bin/sh
# What "make", "make check" and "make install" promise: in a copy of the tree,
# into a place with a blank in its name. Ends in `N passed, N failed`.
#
#	sh tests/install.sh

. tests/report.sh
make_tmp 'pop3d install'
dir=$tmp pid=
at_end '[ -z "$pid" ] || kill "$pid"; rm -rf "$dir"'

expect() {	# what, command
	what=$1
	shift
	"$@" > "$dir/log" 2>&1
	note $? || {
		echo "install: not so: $what"
		tail -n 5 "$dir/log"
	}
}

install() {
	make -s install "DESTDIR=$dir/to here" "$@"
}

modes() {	# mode, files that must have it
	mode=$1
	shift
	listed=$(ls -ld "$@") && ! echo "$listed" | grep -v -e "^$mode"
}

# Until it is ended. It writes to no file before login, but to a pipe.
run_it() {
	mkfifo "$dir/in" "$dir/out" || return 1
	: > "$dir/accounts" && chmod 600 "$dir/accounts"
	"$to/sbin/pop3d" -f "$dir/accounts" -u 64999:64999 -e "$empty" \
	    < "$dir/in" > "$dir/out" &
	pid=$!
	exec 3> "$dir/in" 4< "$dir/out"
	IFS= read -r line <&4
	case $line in
	+OK*)	;;
	*)	return 1 ;;
	esac
}

is_new() {
	cmp pop3d "$to/sbin/pop3d" && ! ls "$to"/sbin/*.new 2>/dev/null
}

# Built with something else, and then as before.
is_rebuilt() {
	cp pop3d before && make -s pop3d CFLAGS=-O1 && ! cmp -s pop3d before &&
	    make -s pop3d && cmp pop3d before
}

is_left_alone() {
	cp -p pop3d before && sleep 1.1 && make -s pop3d &&
	    [ ! pop3d -nt before ]
}

cp -R Makefile README ./*.c pop3.h tests xinetd.d "$dir" && cd "$dir" &&
    rm -rf tests/*.tmp || exit 1
to="$dir/to here/usr/local"
empty="$dir/to here/var/empty"
umask 077
expect "make works under a path with a blank" make -s
expect "make install works to a place with a blank" install
umask 022
expect "programs and directories are for all, whatever the umask" \
    modes -rwxr-xr-x "$to/sbin/pop3d"
expect "directories are for all, whatever the umask" modes drwxr-xr-x \
    "$to/sbin" "$to/share" "$to/share/man/man8" "$to/share/doc/pop3d" "$empty"
expect "texts are for all" modes -rw-r--r-- "$to/share/man/man8/pop3d.8" \
    "$to/share/doc/pop3d/xinetd-pop3" "$to/share/doc/pop3d/xinetd-pop3s"
expect "what was made so is not made again" is_left_alone
expect "what was made otherwise is made again" is_rebuilt
# others must get at the program all the same
expect "make check works under a path with a blank that others cannot enter" \
    env CK_RUN_CASE=commands make -s check PROGRAMS=tests/check_pop3
if [ "$(id -u)" -eq 0 ]; then
	chmod 755 "$dir"
fi
expect "the program runs" run_it
expect "a program that runs is replaced" install CFLAGS=-O1
expect "by the new one, and no other file is left" is_new
expect "and goes on with its work" kill -0 "$pid"
expect "make uninstall takes all away" sh -c \
    "make -s uninstall DESTDIR='$dir/to here' && ! ls '$to'/sbin/* '$to'/share/doc/*"
sum_up

#!/bin/sh
# Other machines and libraries: builds for them, and the tests on those builds,
# the foreign ones under qemu-user. All that is made lies in a directory of its
# own. Ends in `N passed, N failed`, of builds and runs; what is not installed
# is named and skipped.
#
#	sh tests/machines.sh [machine ...]	all of them but powerpc
#	sh tests/machines.sh fetch		Check for Debian's foreign machines,
#						sources of what is built here

. tests/report.sh
roots=$(pwd)/tests/machines.tmp
nobody=65534

make_root() {	# name
	root=$roots/$1
	rm -rf "$root"
	mkdir -p "$root/lists/partial" "$root/archives/partial"
}

# The test programs are linked with Check as Debian builds it for that machine;
# nothing is installed, and apt's own lists stay as they are.
fetch() {
	for arch in s390x arm64 armhf i386; do
		make_root $arch
		: > "$root/status"
		set -- -q -o APT::Architecture=$arch \
		    -o APT::Architectures=$arch -o Dir::State="$root" \
		    -o Dir::State::status="$root/status" \
		    -o Dir::Cache="$root" -o Acquire::Languages=none \
		    -o APT::Sandbox::User="$(id -un)"
		# A list that cannot be had is not fatal, if the packages can.
		apt-get "$@" update || echo "machines: $arch: incomplete lists"
		(cd "$root" && apt-get "$@" download check libsubunit-dev \
		    libcrypt-dev libcrypt1) || return 1
		for deb in "$root"/*.deb; do
			dpkg -x "$deb" "$root" || return 1
		done
		rm -rf "$root"/lists "$root"/archives "$root"/*.deb \
		    "$root"/*.bin
	done
	make_root source
	mkdir "$root/parts"
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2> /dev/null |
	    sed -n 's/^deb /deb-src /p' > "$root/parts/old.list"
	for f in /etc/apt/sources.list.d/*.sources; do
		[ ! -e "$f" ] || sed 's/^Types:.*/Types: deb-src/' "$f" \
		    > "$root/parts/${f##*/}"
	done
	set -- -q -o Dir::Etc::SourceList=/dev/null \
	    -o Dir::Etc::SourceParts="$root/parts" \
	    -o Dir::State::Lists="$root/lists" -o Dir::Cache="$root" \
	    -o APT::Sandbox::User="$(id -un)"
	apt-get "$@" update && (cd "$root" &&
	    apt-get "$@" source --download-only check musl) || return 1
	rm -rf "$root/lists" "$root/archives" "$root/parts" "$root"/*.bin
}

# One line for each build and run; and what went wrong, with it.
say() {	# machine, what, 0 or 1 for good or bad, text, log
	echo "machines: $1: $2: $4"
	note "$3" || tail -n 40 "$5"
}

# Fails, as its caller does then.
skip() {	# machine and why
	echo "skipped: $*"
	return 1
}

has() {	# machine, tools
	machine=$1
	shift
	for tool; do
		command -v "$tool" > /dev/null ||
		    skip "$machine: $tool is not installed" || return
	done
}

# as_it: what runs programs of this machine. qemu shows other things in /proc
# than a program of the host's would, so foreign ones do not run as root.
be_nobody() {	# directory that becomes his
	if [ "$(id -u)" -eq 0 ]; then
		as_it="setpriv --reuid $nobody --regid $nobody --clear-groups"
		chown -R $nobody "$1"
	fi
}

# The tree, for one machine.
prepare() {	# machine, emulator or nothing
	dir=$tmp/$1
	mkdir "$dir" && cp -R Makefile ./*.c pop3.h tests "$dir" || exit 1
	rm -rf "$dir"/tests/*.tmp "$dir"/tests/check_mailbox \
	    "$dir"/tests/check_small "$dir"/tests/check_auth \
	    "$dir"/tests/check_pop3 "$dir"/tests/check_crash
	as_it= of_it=$2
	[ -z "$2" ] || be_nobody "$dir"
	pop3d=$dir/pop3d
	[ -n "$2" ] || return
	# Nothing may need binfmt_misc: whoever starts the program starts this.
	pop3d=$dir/start
	printf '#!/bin/sh\nexec %s -0 pop3d %s/pop3d "$@"\n' "$2" "$dir" \
	    > "$pop3d" && chmod 755 "$pop3d"
}

build() {	# machine, make's arguments
	machine=$1
	shift
	(cd "$dir" && make "$@") > "$dir/log" 2>&1
	status=$?
	if [ -n "$as_it" ]; then
		chown -R $nobody "$dir"
	fi
	warned=$(grep -c 'warning: .*\[-W' "$dir/log")
	kind=$(od -An -tu1 -j4 -N2 "$dir/pop3d" 2>/dev/null | awk '
	    NF == 2 {	# the ELF header: class and byte order
		print 32 * $1 " bits, " ($2 == 1 ? "little" : "big") "-endian"
	    }')
	# one that was built is shown by its warnings, which are as bad
	why=$dir/log
	if [ $status -eq 0 ]; then
		why=$dir/warned
		grep -A 4 'warning: .*\[-W' "$dir/log" > "$why"
	fi
	say "$machine" build $((status != 0 || warned > 0)) \
	    "${kind:-nothing}, $warned warnings" "$why"
	return $status
}

# What may run as root gets a host of its own, as in make check: /dev/log is free
# there, whoever else runs these tests.
run() {	# machine, emulator or nothing, directory of the test, test
	alone=
	[ "$4" != auth ] || [ -n "$as_it" ] || alone="sh tests/alone.sh"
	(cd "$3" && POP3D=$pop3d EMULATOR=$of_it TMPDIR=$tmp/tmp ROUNDS=5 \
	    CK_TIMEOUT_MULTIPLIER=5 $as_it \
	    timeout 600 $alone ${2:+"$2"} "tests/check_$4") > "$dir/out" 2>&1
	status=$?
	figures=$(grep '^[0-9]*%: Checks: ' "$dir/out")
	skips=$(grep -c '^skip' "$dir/out")
	[ "$skips" -eq 0 ] || figures="$figures, skipped: $skips"
	say "$1" "check_$4" $status "${figures:-no figures, status $status}" \
	    "$dir/out"
}

# Two messages, the second behind the first 4 GiB, and what is to be seen of
# them; then the first is deleted, and the second is all that is left.
beyond_4_gib() {	# machine
	mkdir "$dir/big"
	printf 'Date: now\nMessage-ID: <2@example.org>\nReceived: by two\n' \
	    > "$dir/hashed"
	id=$(md5sum < "$dir/hashed" |
	    sed 's/^\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\).*/\4\3\2\1\8\7\6\5/')
	{
		echo "From b@example.org Mon Nov 23 10:00:01 2026"
		cat "$dir/hashed"
		printf '\nbehind\n'
	} > "$dir/second"
	printf 'From a@example.org Mon Nov 23 10:00:00 2026\nDate: now\n\nb' \
	    > "$dir/big/mbox"
	truncate -s 4294967400 "$dir/big/mbox"
	{ printf '\n\n'; cat "$dir/second"; } >> "$dir/big/mbox"
	be_nobody "$dir/big"	# -p refuses root
	# Without the From line; three lines gain a CR, the last an LF as well.
	size=$((4294967400 - 44 + 4))
	{
		echo "+OK pop3d ready, 2 messages, $((size + 68)) octets"
		echo "+OK 2 $((size + 68))"
		printf '+OK list follows\n1 %s\n2 68\n.\n' $size
		echo "+OK 2 $id"
		echo "+OK 68 octets"
		sed 1d "$dir/second"
		echo .
		echo "+OK marked for deletion"
	} > "$dir/wanted"
	printf 'STAT\nLIST\nUIDL 2\nRETR 2\nDELE 1\nQUIT\n' |
	    $as_it timeout 600 "$pop3d" -p -m "$dir/big/mbox" |
	    tr -d '\r' > "$dir/got"
	if sed '$d' "$dir/got" | diff "$dir/wanted" - > "$dir/out" &&
	    tail -n 1 "$dir/got" | grep '^+OK' >> "$dir/out" &&
	    cmp "$dir/second" "$dir/big/mbox" >> "$dir/out" 2>&1; then
		say "$1" "beyond 4 GiB" 0 "STAT LIST UIDL RETR DELE QUIT"
	else
		cat "$dir/got" >> "$dir/out"
		say "$1" "beyond 4 GiB" 1 "differs" "$dir/out"
	fi
	rm -rf "$dir/big"
}

read_all() {	# program and its options
	printf 'STAT\nLIST\nUIDL\nRETR 2\nRETR 3\nQUIT\n' |
	    $as_it timeout 600 "$@" -p -m "$dir/index/mbox" 2>> "$dir/out"
}

# One index, written and read by this host's program and that machine's by
# turns: both say what a session without says. Where numbers have another width
# the reader must see that, and write it anew; in the other order of octets it is
# nothing that may be written to.
index_of_two() {	# machine, what becomes of it: anew or left
	mkdir "$dir/index"
	for i in 1 2 3; do
		printf 'From a@example.org Mon Nov 23 10:00:0%d 2026\n' $i
		printf 'Message-ID: <%d@example.org>\n\nbody %d\n\n' $i $i
	done > "$dir/index/mbox"
	be_nobody "$dir/index"
	sleep 3			# it is for a mailbox that is so old
	status=0
	: > "$dir/out"
	read_all "$native/pop3d" > "$dir/wanted"
	for program in "$native/pop3d" "$pop3d" "$native/pop3d" "$pop3d"; do
		read_all "$program" -i "$dir/index/i" > "$dir/got"
		diff "$dir/wanted" "$dir/got" >> "$dir/out" || status=1
		head -c 8 "$dir/index/i" | od -An -tx1 |
		    tee -a "$dir/out" >> "$dir/magics"
	done
	kinds=$(sort -u "$dir/magics" | wc -l)
	[ "$(wc -l < "$dir/magics")" -eq 4 ] &&
	    [ "$kinds" -eq $([ "$2" = anew ] && echo 2 || echo 1) ] &&
	    grep -q '^+OK 3 ' "$dir/wanted" || status=1
	say "$1" "an index of two" $status "by turns, $2" "$dir/out"
	rm -rf "$dir/index" "$dir/magics"
}

# Where test programs can be built for a machine: all is built, and run.
test_all() {	# machine, emulator or nothing, "tests", make's arguments
	machine=$1 emulator=$2 tests=$3
	shift 3
	build "$machine" pop3d $(printf 'tests/check_%s ' $tests) \
	    HARDENING= HARDENED_LINK= "$@" || return 1
	for t in $tests; do
		run "$machine" "$emulator" "$dir" "$t"
	done
	return 0
}

# Machines that Debian has Check for: all is built and run there.
with_check() {	# machine, tools' prefix, library directory, emulator, tests
	lib=$roots/$1/usr/lib/$3
	has "$1" "$2-gcc" $4 || return 1
	[ -e "$lib/libcheck.a" ] ||
	    skip "$1: no Check for it, run $0 fetch" || return
	prepare "$1" "$4"
	test_all "$1" "$4" "$5" CFLAGS=-O1 LDFLAGS=-static \
	    LIBS="$lib/libcrypt.a" CC="$2-gcc -isystem $roots/$1/usr/include" \
	    CHECK_LIBS="$lib/libcheck.a $lib/libsubunit.a -lrt -lm -pthread"
}

# A C library from its source, static, with a crypt(3) of its own, which Debian
# takes out of musl; and Check with it. Once: it is kept.
make_musl() {
	./configure --prefix="$root" --disable-shared CFLAGS="-O2 -w" &&
	    make -j2 install
}

make_uclibc() {
	arch=$(uname -m)
	mkdir "$root/kernel" && cp -RL /usr/include/linux \
	    /usr/include/asm-generic \
	    "/usr/include/$(gcc -print-multiarch)/asm" "$root/kernel" &&
	    {
		echo "TARGET_$arch=y"
		echo "KERNEL_HEADERS=\"$root/kernel\""
		printf '%s="/"\n' RUNTIME_PREFIX DEVEL_PREFIX
		printf '# %s is not set\n' HAVE_SHARED DOPIC
		printf '%s=y\n' HAS_NO_THREADS DO_C99_MATH UCLIBC_HAS_FLOATS \
		    UCLIBC_HAS_CRYPT_IMPL UCLIBC_HAS_SHA256_CRYPT_IMPL \
		    UCLIBC_HAS_SHA512_CRYPT_IMPL UCLIBC_HAS_SHADOW \
		    UCLIBC_HAS_IPV6 UCLIBC_HAS_REALTIME
	    } > .config && make olddefconfig "ARCH=$arch" &&
	    make -j2 UCLIBC_EXTRA_CFLAGS=-w &&
	    make "PREFIX=$root" install_dev &&
	    # without shared libraries it forgets this one
	    echo 'unsigned long _dl_pagesize = 4096;' > page.c &&
	    gcc -c page.c && ar r "$root/lib/libc.a" page.o
}

make_check() {	# compiler
	./configure --host="$(uname -m)-linux" --disable-subunit \
	    --disable-shared --disable-timeout-tests --disable-build-docs \
	    CC="$1" CFLAGS="-O1 -w" && make -C lib && make -C src libcheck.la &&
	    cp check_stdint.h src/check.h "$root/include" &&
	    cp src/.libs/libcheck.a "$root/lib"
}

# gcc with that library and nothing of the host's but itself.
specs() {	# the library's directory
	echo "%rename cpp_options host_cpp_options"
	only="-nostdinc -isystem $1/include -isystem include%s -isystem $1/kernel"
	printf '*%s:\n%s\n\n' cpp_options "$only %(host_cpp_options)" \
	    cc1 "%(cc1_cpu) $only" \
	    startfile "$1/lib/crt1.o $1/lib/crti.o crtbeginT.o%s" \
	    endfile "crtend.o%s $1/lib/crtn.o" \
	    link_libgcc "-L$1/lib -L .%s" \
	    libgcc "libgcc.a%s libgcc_eh.a%s" link "-nostdlib -static"
}

with_library() {	# machine, library, its tar file, flags, tests
	machine=$1 library=$2 tar=$3 root=$roots/$1
	check=$(ls "$roots"/source/check_*.orig.tar.* 2> /dev/null)
	has "$machine" gcc || return 1
	[ -e "$root/lib/libcheck.a" ] || { [ -e "$tar" ] && [ -n "$check" ]; } ||
	    skip "$machine: no source of $library or Check:" \
	    "install uclibc-source, run $0 fetch" || return
	specs "$root" > "$tmp/$machine.specs"
	cc="gcc -specs=$tmp/$machine.specs"
	if [ ! -e "$root/lib/libcheck.a" ]; then
		rm -rf "$root"
		mkdir -p "$root" "$tmp/$machine.c" "$tmp/$machine.check"
		tar -xf "$tar" -C "$tmp/$machine.c" &&
		    tar -xf "$check" -C "$tmp/$machine.check" &&
		    (cd "$tmp/$machine.c"/* && "make_$library") \
		    > "$root/log" 2>&1 &&
		    (cd "$tmp/$machine.check"/* && make_check "$cc -static") \
		    >> "$root/log" 2>&1
		say "$machine" library $? "$library and Check" "$root/log"
	fi
	prepare "$machine" ""
	test_all "$machine" "" "$5" LDFLAGS=-static LIBS= CC="$cc" \
	    CHECK_LIBS="$root/lib/libcheck.a" CFLAGS="-O2 $4"
}

# A kernel for 64 bits may be one for these alone.
emulator_of_i386() {
	echo 'int main(void) { return 0; }' > "$tmp/try.c"
	i686-linux-gnu-gcc -static -o "$tmp/try" "$tmp/try.c" 2> /dev/null &&
	    "$tmp/try" 2> /dev/null || echo qemu-i386-static
}

# This host's crypt(3), for programs whose library has none.
serve_crypt() {
	exec perl -MIO::Socket::UNIX -e '
	    my $s = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 100)
		or die "machines: $ARGV[0]: $!\n";
	    chmod 0666, $ARGV[0];
	    $SIG{CHLD} = $SIG{PIPE} = "IGNORE";
	    while (1) {
		my $c = $s->accept or next;
		next if fork;
		local $/ = "\0";
		chomp(my ($key, $setting) = (scalar <$c>, scalar <$c>));
		print $c crypt($key, $setting) if defined $setting;
		exit;
	    }' "$tmp/crypt"
}

# Others: only the program is built, with this host's crypt, and this host's
# test programs talk to it.
without_check() {	# machine, compiler, emulator, make's arguments
	machine=$1 cc=$2 emulator=$3
	shift 3
	has "$machine" "${cc%% *}" perl $emulator || return 1
	prepare "$machine" "$emulator"
	echo "#define SERVER \"$tmp/crypt\"" > "$dir/tests/machines/server.h"
	build "$machine" tests/machines/hostcrypt.o pop3d LIBS=tests/machines/hostcrypt.o HARDENING= \
	    HARDENED_LINK= LDFLAGS=-static CC="$cc" "$@" || return 1
	for t in pop3 auth; do
		run "$machine" "" "$native" "$t"
	done
	return 0
}

# A stream's buffer that is the caller's stays his, when the stream is closed.
buffer_of_the_caller() {	# machine, compiler
	cat > "$dir/try.c" <<-'EOF'
	#include <stdio.h>
	#include <sys/mman.h>

	int
	main(void)
	{
		size_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		FILE *f = fopen("/dev/null", "r");

		/* as if it were malloc's: a size in front */
		page[0] = page[1] = 8192;
		if (f == NULL || setvbuf(f, (char *)(page + 2), _IOFBF, 4096) != 0)
			return 1;
		getc(f);
		fclose(f);
		return page[2] != 0;
	}
	EOF
	(cd "$dir" && $2 -o try try.c && ./try) > "$dir/out" 2>&1
	say "$1" "a buffer of the caller's" $? "setvbuf, fclose" "$dir/out"
}

# 32-bit x86 with the sanitizers; its loader lies with the cross compiler.
sanitized_i386() {
	lib=$roots/i386/usr/lib/i386-linux-gnu
	cross=/usr/i686-linux-gnu/lib
	has i386-sanitized i686-linux-gnu-gcc || return 1
	[ -e "$lib/libcheck.a" ] && [ -e $cross/libasan.so.8 ] ||
	    skip "i386-sanitized: no Check or libasan for it" || return
	prepare i386-sanitized ""
	be_nobody "$dir"
	sanitize="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
	crypt=$roots/i386/lib/i386-linux-gnu
	test_all i386-sanitized "" "mailbox auth pop3" CFLAGS="$sanitize" \
	    CC="i686-linux-gnu-gcc -isystem $roots/i386/usr/include" \
	    CHECK_LIBS="$lib/libcheck.a $lib/libsubunit.a -lrt -lm -pthread" \
	    LDFLAGS="$sanitize -Wl,-rpath,$cross:$crypt \
	    -Wl,--dynamic-linker=$cross/ld-linux.so.2" \
	    LIBS="$crypt/libcrypt.so.1"
}

# Systems that Debian has nothing for: compiled to no file, with the headers
# that are found in BSD_HEADERS. Nothing of them is kept here.
bsd() {
	[ -n "$BSD_HEADERS" ] ||
	    skip "bsd: BSD_HEADERS is not set: a directory" \
	    "with directories freebsd, openbsd, netbsd, dragonfly" \
	    "or illumos in it, each that system's /usr/include," \
	    "as its installation sets have it (base.txz, comp.tgz)" || return
	has bsd clang || return 1
	flags=$(make -s print-flags HARDENING= CFLAGS=)
	for system in freebsd openbsd netbsd dragonfly illumos; do
		headers=$BSD_HEADERS/$system
		if [ ! -e "$headers/pwd.h" ]; then
			skip "bsd: no $headers"
			continue
		fi
		set -- --target="${BSD_MACHINE:-x86_64}-unknown-$system"
		# clang asks for an older X/Open itself there, and SIG_DFL of
		# that system is no prototype
		[ $system != illumos ] || set -- -Wno-macro-redefined \
		    -Wno-strict-prototypes \
		    --target="${BSD_MACHINE:-x86_64}-unknown-solaris"
		status=0
		for f in pop3.c mailbox.c auth.c; do
			clang -nostdlibinc -isystem "$headers" $flags "$@" \
			    -Werror -fsyntax-only $f || status=1
		done > "$tmp/$system.log" 2>&1
		say bsd "$system" $status "$(grep -c 'error: ' \
		    "$tmp/$system.log") errors and warnings" "$tmp/$system.log"
	done
}

machine() {
	case $1 in
	bsd)
		bsd ;;
	s390x)	# big-endian, 64 bits
		with_check s390x s390x-linux-gnu s390x-linux-gnu \
		    qemu-s390x-static "mailbox auth pop3" &&
		    index_of_two s390x left ;;
	arm64)	# vectors of its own for bodies
		with_check arm64 aarch64-linux-gnu aarch64-linux-gnu \
		    qemu-aarch64-static mailbox ;;
	armhf)	# little-endian, 32 bits, char is unsigned
		with_check armhf arm-linux-gnueabihf arm-linux-gnueabihf \
		    qemu-arm-static "mailbox auth pop3" ;;
	i386)
		with_check i386 i686-linux-gnu i386-linux-gnu \
		    "$(emulator_of_i386)" \
		    "mailbox auth pop3 crash" && beyond_4_gib i386 &&
		    index_of_two i386 anew ;;
	i386-sanitized)
		sanitized_i386 ;;
	mips)	# big-endian, 32 bits, numbers of its own for errors and signals
		without_check mips "mips-linux-gnu-gcc -Itests/machines" \
		    qemu-mips-static CFLAGS=-O2 ;;
	powerpc) # big-endian, 32 bits, char is unsigned; if asked for
		without_check powerpc "powerpc-linux-gnu-gcc -Itests/machines" \
		    qemu-ppc-static CFLAGS=-O2 ;;
	musl)
		without_check musl musl-gcc "" CFLAGS=-O2 ;;
	musl-crypt)
		with_library musl-crypt musl \
		    "$(ls "$roots"/source/musl_*.orig.tar.gz 2> /dev/null)" \
		    "" "mailbox auth pop3" ;;
	uclibc)
		with_library uclibc uclibc \
		    "$(ls /usr/src/uClibc-*.tar.* 2> /dev/null)" \
		    "-D'getloadavg(load,n)=0'" "mailbox auth pop3" ;;
	dietlibc)
		without_check dietlibc "diet gcc" "" LDFLAGS= \
		    LIBS="-lcrypt -lcompat" \
		    CFLAGS="-Os -include tests/machines/dietlibc.h" &&
		    buffer_of_the_caller dietlibc \
		    "diet gcc -include tests/machines/dietlibc.h" ;;
	esac
}

if [ "$1" = fetch ]; then
	fetch
	exit
fi
usual='bsd s390x arm64 armhf i386 i386-sanitized mips musl dietlibc musl-crypt
    uclibc'
wanted=${*:-$usual}
for m in $wanted; do
	case " $(echo $usual) powerpc " in
	*" $m "*)	;;
	*)	echo "$0: $m: no such machine" >&2; exit 2 ;;
	esac
done
make_tmp pop3d-machines
server=
at_end '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$tmp"'
mkdir "$tmp/tmp" && chmod 755 "$tmp" && chmod 1777 "$tmp/tmp"
if command -v perl > /dev/null; then
	serve_crypt &
	server=$!
fi
native=$tmp/native
prepare native ""
build native pop3d tests/check_pop3 tests/check_auth

# Most of the time is spent waiting for what takes 3 seconds by design: some
# side by side.
row() {
	for m; do
		case " $wanted " in
		*" $m "*)	machine "$m" ;;
		esac
	done
}
row bsd s390x > "$tmp/1" 2>&1 &
rows=$!
row armhf arm64 mips i386-sanitized > "$tmp/2" 2>&1 &
rows="$rows $!"
row i386 musl dietlibc musl-crypt uclibc powerpc > "$tmp/3" 2>&1 &
wait $rows $!
cat "$tmp/1" "$tmp/2" "$tmp/3"
sum_up

# What the scripts share that try things and count what passed. Sourced from the
# top directory.

# Have a command run when the script ends, by a signal too.
at_end() {	# command
	trap "$1" EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# A directory of the script's own, until it ends.
make_tmp() {	# beginning of its name
	tmp=$(mktemp -d "${TMPDIR:-/tmp}/$1.XXXXXX") || exit 1
	at_end 'rm -rf "$tmp"'
	: > "$tmp/results"
}

# The results are in a file, since some are of shells that run side by side.
note() {	# exit status of what was tried
	echo "$1" >> "$tmp/results"
	return "$1"
}

passes() {
	grep -c '^0$' "$tmp/results"
}

failures() {
	grep -cv '^0$' "$tmp/results"
}

# The last line of a script, and its exit status.
sum_up() {
	echo "$(passes) passed, $(failures) failed"
	[ "$(failures)" -eq 0 ]
}

# Nothing can be tried here.
skip_all() {	# why
	echo "skipped: $1"
	echo "0 passed, 0 failed"
	exit 0
}

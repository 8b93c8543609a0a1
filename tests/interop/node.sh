# Libraries for Node, from the npm registry.

prepare node npm || return
unpacked
poll=by_program

course_of()
{
	modules=$work/packages/node/node_modules
	[ -d "$modules/$1" ] || { skip "$1: not fetched"; return; }
	program="env NODE_PATH=$modules NODE_TLS_REJECT_UNAUTHORIZED=0
	    node $tests/fetch.js $1"
	course ${1%-pop3}
}

these=$made forgets=all secure=tls
course_of yapople
# It sees the end of a message only if that comes in one piece, which of a long
# one, or through stunnel, it need not. What it returns is text: not all octets
# are.
these=$(without 3 5 7 8 9) forgets= secure= cut_at=2000
course_of node-pop3

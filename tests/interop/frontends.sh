# TCP front ends that pass connections on to one of several hosts.

has_all frontends socat || return
serve || return
user_dir frontends
behind=$port

module=$(find /usr/lib/nginx/modules /usr/share/nginx/modules \
    -name ngx_stream_module.so 2>/dev/null | head -n 1)
if has_all nginx nginx; then
	next_port
	cat >nginx.conf <<END
${module:+load_module $module;}
daemon off;
user $account;
pid $PWD/nginx.pid;
error_log $PWD/nginx.err;
events { }
stream {
	upstream pop3 { hash \$remote_addr; server 127.0.0.1:$behind; }
	server { listen 127.0.0.1:$port; proxy_pass pop3; proxy_timeout 11m; }
}
END
	nginx -c "$PWD/nginx.conf" >nginx.out 2>&1 &
	started $! || cat nginx.err
	serves nginx nginx '' nginx
fi

if has_all haproxy haproxy; then
	next_port
	cat >haproxy.conf <<END
defaults
	mode tcp
	timeout connect 5s
	timeout client 11m
	timeout server 11m
frontend pop3
	bind 127.0.0.1:$port
	default_backend hosts
backend hosts
	balance source
	server one 127.0.0.1:$behind
END
	haproxy -db -f haproxy.conf >haproxy.out 2>&1 &
	started $! || cat haproxy.out
	serves HAProxy haproxy '' haproxy
fi

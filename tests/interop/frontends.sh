# TCP front ends that pass connections on to one of several hosts.

prepare socat || return
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
error_log stderr;
events { }
stream {
	upstream pop3 { hash \$remote_addr; server 127.0.0.1:$behind; }
	server { listen 127.0.0.1:$port; proxy_pass pop3; proxy_timeout 11m; }
}
END
	run_server nginx -c "$PWD/nginx.conf"
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
	run_server haproxy -db -f haproxy.conf
	serves HAProxy haproxy '' haproxy
fi

#!/bin/sh
# Servers, clients that print a number, and commands that print the seconds they took. Each function runs in a container
# of its own; clients get the server's address last.
set -eu
mkdir -p /tmp /var/log /var/lib/nginx # an image has them
chmod 1777 /tmp

as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }

serve_postgres() {
    cd /tmp
    bin=$(echo /usr/lib/postgresql/*/bin)
    mkdir -p /data
    chown postgres /data
    as_postgres "$bin/initdb" -A trust -D /data > /dev/null
    echo 'host all all all trust' >> /data/pg_hba.conf
    as_postgres "$bin/pg_ctl" -w -D /data -o '-h 127.0.0.1 -k /tmp' start > /dev/null
    as_postgres "$bin/pgbench" -q -h /tmp -i -s 2 postgres > /dev/null 2>&1
    as_postgres "$bin/pg_ctl" -w -D /data stop > /dev/null
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "$bin/postgres" -D /data -h '*' -k /tmp
}

ask_postgres() { # further options of pgbench as one word, address
    bin=$(echo /usr/lib/postgresql/*/bin)
    until "$bin/pg_isready" -q -h "$2"; do sleep 0.2; done
    # shellcheck disable=SC2086
    "$bin/pgbench" -U postgres -h "$2" -n -T 5 -c 4 $1 postgres 2> /dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

serve_redis() { exec redis-server --save '' --protected-mode no; }

ask_redis() { # command address
    until redis-cli -h "$2" ping > /dev/null 2>&1; do sleep 0.2; done
    redis-benchmark -h "$2" -t "$1" -n 20000 -c 20 --csv | tail -n 1 | cut -d '"' -f 4
}

serve_web() { # options of php-fpm
    mkdir -p /www /tmp
    head -c 1024 /dev/zero > /www/small
    for i in $(seq 50); do echo "<?php function f$i() { return $i; }" > "/www/f$i.php"; done
    {
        echo '<?php'
        for i in $(seq 50); do echo "require '/www/f$i.php';"; done
        echo 'echo f1() + f50();'
    } > /www/index.php
    cat > /tmp/fpm.conf << 'END'
[www]
listen = 127.0.0.1:9000
user = www-data
pm = static
pm.max_children = 4
END
    cat > /tmp/nginx.conf << 'END'
user www-data; daemon off; worker_processes 2; pid /tmp/nginx.pid; error_log stderr;
events { }
http {
    access_log off; keepalive_requests 1000000;
    server {
        listen 8080; root /www;
        location ~ [.]php$ {
            include /etc/nginx/fastcgi_params; fastcgi_pass 127.0.0.1:9000;
            fastcgi_param SCRIPT_FILENAME /www$fastcgi_script_name;
        }
    }
}
END
    fpm=$(echo /usr/sbin/php-fpm[0-9]*)
    "$fpm" "$@" -y /tmp/fpm.conf -R
    exec nginx -e stderr -c /tmp/nginx.conf
}

ask_web() { # file address
    until wrk -d 1 -t 1 -c 1 "http://$2:8080/$1" | grep -q '^Requests/sec'; do sleep 0.2; done
    said=$(wrk -d 4 -t 1 -c 16 "http://$2:8080/$1")
    if printf '%s' "$said" | grep -q 'Non-2xx'; then exit 1; fi
    printf '%s\n' "$said" | sed -n 's/^Requests.sec: *//p'
}

compute() { sysbench --threads=2 --time=3 cpu run | sed -n 's/.*events per second: *\([0-9.]*\).*/\1/p'; }

timed() { # command...
    began=$(date +%s.%N)
    "$@" > /dev/null
    echo "$(date +%s.%N) $began" | awk '{ print $1 - $2 }'
}

install_pip() { timed python3 -m venv /venv; }

compile() {
    mkdir /c
    for i in $(seq 30); do printf '#include <stdio.h>\nint f%s(void) { return printf("x"); }\n' "$i" > "/c/$i.c"; done
    timed compile_all
}

compile_all() { for i in $(seq 30); do gcc -O2 -c "/c/$i.c" -o "/c/$i.o"; done; }

clone() {
    export HOME=/root
    git init -q /g
    for i in $(seq 2000); do echo "$i" > "/g/$i"; done
    git -C /g add .
    git -C /g -c user.name=x -c user.email=x commit -q -m x
    timed git clone -q /g /h
}

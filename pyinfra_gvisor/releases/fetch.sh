#!/bin/sh
# Downloads files with curl or wget. Resumes where the server can, and gives up after timeout_s without progress.
# Variables: timeout_s, staging, max_bytes (optional). Functions of the caller: die, say, said.
max_bytes=${max_bytes:-1073741824} # six times the largest archive so far
attempts=3

take_proxy() { # sudo removes these from the environment, so /etc/environment counts too
    for name in http_proxy https_proxy no_proxy; do
        upper=$(say "$name" | tr '[:lower:]' '[:upper:]')
        eval "value=\${$name:-\${$upper:-}}"
        if [ -z "$value" ] && [ -f "${environment_file:=/etc/environment}" ]; then
            value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}\($name\|$upper\)=//p" \
                "$environment_file" | tail -n 1 | tr -d "\"'\r")
        fi
        if [ -n "$value" ]; then export "$name=$value"; fi
    done
}

size_of() { if [ -f "$1" ]; then wc -c < "$1"; else say 0; fi; }

# shellcheck disable=SC2016
answer() { # prints the head of the last answer, without those of redirects and proxies
    sed -n 's/\r$//; s/^ *//; /^HTTP\//h; /^HTTP\//!H; ${x;p;}' "$staging/head"
}

answered() { answer | sed -n '1s/^HTTP\/[0-9.]* \([0-9]*\).*/\1/p'; }

announced() { # prints the size of the whole file, if the server named it
    answer | sed -n 's/^[Cc]ontent-[Rr]ange: *bytes [0-9]*-[0-9]*\/\([0-9]\{1,\}\).*/\1/p; t
        s/^[Cc]ontent-[Ll]ength: *\([0-9]\{1,\}\).*/\1/p' | sort -n | tail -n 1
}

with_curl() {
    curl -sSL --connect-timeout 20 --speed-limit 1 --speed-time "$timeout_s" --max-filesize "$max_bytes" \
        ${2:+-r "$2-"} -D "$staging/head" -o "$staging/next" -- "$1" 2> "$staging/said"
}

with_wget() {
    code=0
    wget --no-verbose --no-hsts --server-response --tries=1 --dns-timeout=20 --connect-timeout=20 \
        --read-timeout="$timeout_s" ${2:+--start-pos="$2"} -O "$staging/next" -- "$1" 2> "$staging/head" || code=$?
    grep -v -e '^ ' -e ' URL:' -e '^$' "$staging/head" > "$staging/said" || : > "$staging/said"
    return "$code"
}

keep_what_came() { # $1: the file so far, $2: its size before
    # If the server sends the whole file again, wget skips what it has; curl does not.
    if [ "$2" -gt 0 ] && { [ "$tool" = wget ] || [ "$(answered)" = 206 ]; }; then
        cat "$staging/next" >> "$1" && rm -f "$staging/next"
    else
        mv "$staging/next" "$1"
    fi
}

attempt() { # $1 URL, $2 file; returns 0: complete, 1: try again, 2: give up
    have=$(size_of "$2")
    rm -f "$staging/next" "$staging/head"
    : > "$staging/next"
    : > "$staging/head"
    ended=0
    if [ "$have" -gt 0 ]; then from=$have; else from=""; fi
    # An endless answer must not fill the disk. The limit is in blocks of 512 bytes.
    (ulimit -f $((max_bytes / 512)) && "with_$tool" "$1" "$from") || ended=$?
    if [ "$(size_of "$staging/next")" -ge "$max_bytes" ] || [ "$(announced || :)" -gt "$max_bytes" ] 2> /dev/null; then
        why="is larger than $((max_bytes / 1048576)) MiB"
        return 2
    fi
    status=$(answered)
    case "$status" in
        200 | 206) ;;
        "" | 000) why="exit code $ended, $(said "$staging/said")"; return 1 ;;
        416) rm -f "$2"; why="answers HTTP 416"; return 1 ;;
        408 | 429 | 5??) why="answers HTTP $status"; return 1 ;;
        *) why="answers HTTP $status; check the release and gvisor_source"; return 2 ;;
    esac
    keep_what_came "$2" "$have" || return 2
    size=$(announced)
    why="exit code $ended, $(said "$staging/said"), received $(size_of "$2") of ${size:-?} bytes"
    if [ -n "$size" ]; then [ "$(size_of "$2")" = "$size" ] || return 1; else [ "$ended" = 0 ] || return 1; fi
}

download() { # $1 URL, $2 file, $3 what to call it
    if command -v curl > /dev/null; then
        tool=curl
    elif command -v wget > /dev/null; then
        tool=wget
    else
        die "neither curl nor wget is installed; apt-get install curl"
    fi
    tried=0
    while :; do
        tried=$((tried + 1))
        result=0
        why="no space is left in ${releases_dir:-the directory}"
        attempt "$1" "$2" || result=$?
        case "$result" in
            0) return 0 ;;
            2) die "cannot fetch $3: $why" ;;
        esac
        if [ "$tried" = "$attempts" ] || no_space; then die "cannot fetch $3: $why, after $tried attempts"; fi
        sleep 1
    done
}

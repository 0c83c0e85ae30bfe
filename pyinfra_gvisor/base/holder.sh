#!/bin/sh
# Names the process that holds a lock, for messages. Comes before the scripts that take locks.

started() { # process: prints its start in clock ticks after boot
    read -r content 2> /dev/null < "/proc/$1/stat" || return 1
    # shellcheck disable=SC2086 # these are words; the name of the program, which may have blanks, is cut off
    set -- ${content##*) }
    echo "${20}"
}

holder() { # lock file: prints the process that holds it, its user and its start, as far as they are known
    own=$(started $$) || own=0
    found='' first=$own
    # Who holds a lock has opened the file before everybody who waits for it.
    for process in $(find /proc/[0-9]*/fd -maxdepth 1 -lname "$1" 2> /dev/null | cut -d / -f 3 | sort -un); do
        began=$(started "$process") || continue
        if [ "$began" -lt "$first" ]; then found=$process first=$began; fi
    done
    if [ -z "$found" ]; then
        echo 'another run'
        return 0
    fi
    while read -r key booted _; do if [ "$key" = btime ]; then break; fi; done < /proc/stat
    since=$(date -u -d "@$((booted + first / 100))" '+%Y-%m-%d %H:%M:%S UTC')
    login=''
    if read -r uid 2> /dev/null < "/proc/$found/loginuid" && [ "$uid" != 4294967295 ]; then
        login=" of user $(id -un "$uid" 2> /dev/null || echo "$uid")"
    fi
    echo "process $found$login, started $since,"
}

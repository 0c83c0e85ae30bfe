#!/bin/sh
# Checks sysctls and blocked modules, and restores sysctls. Comes after begin.sh. Variables: kernel_sysctls (lines of a
# path below /proc/sys, its value, and values that are as good, with tabs between), kernel_blocked (names of modules,
# with | between).
: "${kernel_sysctls?}" "${kernel_blocked?}"
tab='	'

kernel_others() { # prints the lines of sysctls that have another value; the kernel may lack some
    say "$kernel_sysctls" | while IFS=$tab read -r path values; do
        if [ -z "$path" ] || [ ! -r "/proc/sys/$path" ]; then continue; fi
        now=$(tr '\t' ' ' < "/proc/sys/$path")
        case "$tab$values$tab" in *"$tab$now$tab"*) ;; *) say "$path$tab$now$tab${values%%"$tab"*}" ;; esac
    done
}

kernel_wrong() {
    kernel_others | while IFS=$tab read -r path now value; do say "sysctl $path is $now, declared $value"; done
}

kernel_lasting() {
    if [ -z "$kernel_blocked" ] || [ ! -r /proc/modules ]; then return 0; fi
    sed -n -E "s/^($kernel_blocked) .*/module \1 is loaded, although it is blocked; reboot this node/p" /proc/modules
}

kernel_restore() { kernel_others | while IFS=$tab read -r path _ value; do say "$value" > "/proc/sys/$path"; done; }

#!/bin/sh
# Prints the state of the kernel's modules and sysctls. Read before node_state.sh.
kernel_sys=/proc/sys
kernel_modules=/proc/modules
kernel_lib=/lib/modules
kernel_kept=/opt/gvisor/kernel
kernel_modprobe_d=/etc/modprobe.d/pyinfra-gvisor.conf
kernel_sysctl_d=/etc/sysctl.d/90-pyinfra-gvisor.conf
# The keys of kernel/defaults.py. A test compares the two.
kernel_keys='
dev.tty.ldisc_autoload
fs.protected_fifos
fs.protected_hardlinks
fs.protected_regular
fs.protected_symlinks
kernel.dmesg_restrict
kernel.kptr_restrict
kernel.unprivileged_bpf_disabled
net.core.bpf_jit_harden
net.ipv4.conf.all.accept_redirects
net.ipv4.conf.all.accept_source_route
net.ipv4.conf.all.secure_redirects
net.ipv4.conf.all.send_redirects
net.ipv4.conf.default.accept_redirects
net.ipv4.conf.default.accept_source_route
net.ipv4.conf.default.secure_redirects
net.ipv4.conf.default.send_redirects
net.ipv4.tcp_syncookies
net.ipv6.conf.all.accept_redirects
net.ipv6.conf.all.accept_source_route
net.ipv6.conf.default.accept_redirects
net.ipv6.conf.default.accept_source_route
vm.unprivileged_userfaultfd
'

kernel_state() {
    kernel_files
    kernel_values
    if [ -e "$kernel_modules" ]; then
        sed -n 's/^\([^ ]*\) [0-9]* \([0-9-]*\) .*/kernel module \1 \2/p' "$kernel_modules"
    else
        echo "kernel modules no"
    fi
    kernel_builtin
    kernel_later
}

kernel_files() {
    set --
    for path in "$kernel_modprobe_d" "$kernel_sysctl_d"; do
        if [ ! -f "$path" ]; then continue; fi
        set -- "$@" "$path"
        printf "kernel text %s %s\n" "$path" "$(base64 -w0 < "$path")"
    done
    if [ $# -gt 0 ]; then stat -c 'kernel stat %a:%u:%g %n' -- "$@"; fi
    if [ ! -d "$kernel_kept" ]; then return 0; fi
    echo "kernel kept yes"
    for name in before written; do
        if [ ! -r "$kernel_kept/$name" ]; then continue; fi
        while IFS= read -r content; do printf 'kernel %s %s\n' "$name" "$content"; done < "$kernel_kept/$name"
    done
}

kernel_path() { # key: with slashes, a dot belongs to an interface's name, see sysctl.d(5)
    case "$1" in
        */*) path=$1 ;;
        *)
            set -f
            IFS=.
            # shellcheck disable=SC2086
            set -- $1
            IFS=/
            path="$*"
            unset IFS
            set +f
            ;;
    esac
}

# One process reads all values. The shell's read does not work: dash reads byte by byte, and the kernel
# returns only the first byte of a number in /proc/sys (do_proc_dointvec in kernel/sysctl.c).
kernel_values() {
    set --
    for key in $kernel_keys; do
        kernel_path "$key"
        if [ -r "$kernel_sys/$path" ]; then set -- "$@" "$kernel_sys/$path"; fi
    done
    if [ -f "$kernel_sysctl_d" ]; then
        while IFS='= ' read -r key _; do
            case "$key" in '' | '#'* | *..*) continue ;; esac
            kernel_path "$key"
            if [ -f "$kernel_sys/$path" ] && [ -r "$kernel_sys/$path" ]; then set -- "$@" "$kernel_sys/$path"; fi
        done < "$kernel_sysctl_d"
    fi
    if [ $# = 0 ]; then return 0; fi
    grep -H -s -m 1 '' -- "$@" | while IFS= read -r content; do
        printf "kernel value %s\n" "${content#"$kernel_sys"/}"
    done
}

kernel_builtin() { # the name of a module's file may have hyphens instead of underscores
    names=''
    if [ ! -f "$kernel_modprobe_d" ] || ! read -r release < "$kernel_sys/kernel/osrelease"; then return 0; fi
    if [ ! -r "$kernel_lib/$release/modules.builtin" ]; then return 0; fi
    while read -r key name _; do
        case "$key $name" in *[!A-Za-z0-9_\ ]*) ;; install\ ?*) names="$names|$name" ;; esac
    done < "$kernel_modprobe_d"
    if [ -z "$names" ]; then return 0; fi
    sed -n -E -e 's/.*\///' -e 's/\.ko.*//' -e y/-/_/ -e "s/^(${names#|})\$/kernel builtin &/p" \
        "$kernel_lib/$release/modules.builtin"
}

# Files that may be read after ours, by name in any directory: sysctl.d(5). ufw has its own file.
kernel_later() {
    set --
    for path in /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf; do
        name=${path##*/}
        case "$name" in 90-pyinfra-gvisor.conf | [0-8]*) continue ;; esac
        case "$path" in /etc/*) ;; *) if [ -e "/etc/sysctl.d/$name" ]; then continue; fi ;; esac
        if [ -f "$path" ]; then set -- "$@" "$path"; fi
    done
    for path in /etc/sysctl.conf /etc/ufw/ufw.conf /etc/ufw/sysctl.conf; do
        if [ -f "$path" ]; then set -- "$@" "$path"; fi
    done
    if [ $# = 0 ]; then return 0; fi
    grep -H -s -m 200 '^[[:space:]]*-\{0,1\}[A-Za-z][A-Za-z0-9_./@:+-]*[[:space:]]*=[[:print:][:space:]]*$' -- "$@" |
        while IFS= read -r content; do printf 'kernel later %s\n' "$content"; done
}

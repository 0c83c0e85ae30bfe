#!/bin/sh
# Checks that the kernel has the firewall's rules as they were loaded, and loads them again. Comes after begin.sh.
egress_dir=/opt/gvisor/egress
egress_name=pyinfra-gvisor-egress

egress_wrong() {
    if [ -e "$egress_dir/candidate.nft" ]; then
        if systemctl is-active --quiet "$egress_name-revert.timer"; then
            say 'new rules are on trial'
            return "$later"
        fi
        say 'new rules were neither confirmed nor rolled back'
        return 0
    fi
    if table=$(/usr/sbin/nft -s -t list table inet pyinfra_gvisor 2>&1); then
        now=$(say "$table" | sha256sum) file=$(sha256sum < "$egress_dir/rules.nft")
        if ! [ "$(cat "/run/$egress_name/loaded" 2> /dev/null)" = "${now%% *} ${file%% *}" ]; then
            say 'table inet pyinfra_gvisor was changed after it was loaded'
        fi
    else
        say 'the kernel has no table inet pyinfra_gvisor: containers could reach everything that the node can'
    fi
    for group in $(sh "$egress_dir/members.sh" "$egress_dir/rules.nft" unfiltered); do
        say "what $group sends is not filtered"
    done
    follower=/etc/systemd/system/$egress_name-members.service
    if [ -e "$follower" ] && ! systemctl is-active --quiet "$egress_name-members"; then
        say "$egress_name-members.service is not active"
    fi
    if ! systemctl is-active --quiet "$egress_name"; then say "$egress_name.service is not active"; fi
    if ! systemctl is-enabled --quiet "$egress_name"; then say "$egress_name.service is not enabled"; fi
}

# A reload replaces the rules without a moment without any. If it fails, the unit must not stay active.
egress_restore() {
    if [ -e "$egress_dir/candidate.nft" ]; then sh "$egress_dir/revert.sh"; fi
    systemctl enable --quiet "$egress_name"
    systemctl reload "$egress_name" 2> /dev/null || systemctl restart "$egress_name"
    if [ -e "/etc/systemd/system/$egress_name-members.service" ]; then systemctl restart "$egress_name-members"; fi
}

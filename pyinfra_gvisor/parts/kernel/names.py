"""Names of modules and of settings: the one form that is used here, and which are refused."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from pyinfra_gvisor.errors import Problem

_MODULE = re.compile(r"[A-Za-z0-9_]{1,55}")  # MODULE_NAME_LEN in include/linux/module.h
_KEY = re.compile(r"[a-z][a-z0-9_-]*(/[A-Za-z0-9_.:@+-]+)+")
_VALUE_LIMIT = 200
_SWAPPED = str.maketrans("./", "/.")

# Patterns of modules that are never kept out, by who needs them.
NEEDED: dict[str, str] = {
    "Docker": "overlay aufs fuse veth bridge stp llc br_netfilter macvlan ipvlan vxlan udp_tunnel "
    "ip6_udp_tunnel dummy ip_vs* ip_set* nf_* nft_* nfnetlink* x_tables xt_* ip_tables ip6_tables "
    "iptable_* ip6table_* ipt_* ip6t_* ebtable* ebt_*",
    "gVisor": "tun tap kvm kvm_*",
    "the node itself": "unix af_packet ipv6 loop squashfs dm_* md_mod ext4 jbd2 mbcache crc* xfs "
    "btrfs fat vfat nls_* virtio* vmw_* xen_* hv_* nvme* sd_mod scsi_mod ahci libahci libata "
    "failover net_failover ena e1000* ixgbe* i40e igb mlx5_* r8169 vmxnet3",
}
# Regular expressions of keys, as paths, and who owns them.
OWNED: dict[str, str] = {
    r"net/ipv4/ip_forward|net/ipv[46]/conf/.*/forwarding": "Docker forwards containers' packets",
    r"net/ipv4/conf/.*/route_localnet": "Docker publishes ports with it",
    r"net/bridge/.*": "Docker sets it for its bridges",
    r"user/max_user_namespaces": "sandboxes are user namespaces",
    r"kernel/modprobe": "Docker has modules loaded",
    r"kernel/(modules_disabled|kexec_load_disabled)": "only a reboot would undo it",
}
# Values that cannot be undone without a reboot.
FOR_GOOD = {
    ("kernel.unprivileged_bpf_disabled", "1"): "write 2, which does the same",
    ("kernel.yama.ptrace_scope", "3"): "write 2; sandboxes need ptrace besides",
}


def module_name(text: str) -> str:
    """
    The name with underscores, as the kernel has it: modprobe(8) takes hyphens for the same.

    Raises ``Problem`` for what is no name.
    """
    name = text.replace("-", "_")
    if text.startswith("-") or not _MODULE.fullmatch(name):
        raise Problem("not a module", got=text, todo="write a name as lsmod(8) shows it")
    return name


def may_be_kept_out(name: str) -> str:
    """The same name. Raises ``Problem`` for what Docker, gVisor or a node cannot be without."""
    for who, patterns in NEEDED.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns.split()):
            raise Problem(f"a module that {who} needs", got=name, todo="leave it out")
    return name


def sysctl_path(text: str) -> str:
    """
    Where below ``/proc/sys`` a key lies.

    The first separator decides: with dots, a slash stands for a dot of an interface's name, as in
    ``net.ipv4.conf.eth0/100.mc_forwarding``; with slashes, dots are what they are: sysctl.d(5).

    Raises ``Problem`` for what is no key.
    """
    first = next((char for char in text if char in "./"), "")
    path = text.translate(_SWAPPED) if first == "." else text
    if not _KEY.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise Problem("not a key", got=text, todo="write one such as net.ipv4.tcp_syncookies")
    return path


def sysctl_key(text: str) -> str:
    """
    The one form of a key: dots, and slashes only where a name in it has a dot.

    Raises ``Problem`` for what is no key.
    """
    path = sysctl_path(text)
    return path if "." in path else path.replace("/", ".")


def may_be_set(key: str, value: str) -> str:
    """The value. Raises ``Problem`` for a key that is somebody else's, and one that is for good."""
    path = sysctl_path(key)
    for pattern, why in OWNED.items():
        if re.fullmatch(pattern, path):
            raise Problem(f"not ours to set: {why}", got=key, todo="leave it out")
    if todo := FOR_GOOD.get((key, value)):
        raise Problem("only a reboot would undo it", got=f"{key} = {value}", todo=todo)
    return value


def sysctl_value(value: int | str) -> str:
    """A value as it is compared: words with one space between. Raises ``Problem`` for none."""
    given = str(value).replace("\t", " ")
    text = " ".join(given.split())
    if not 0 < len(text) <= _VALUE_LIMIT or not (given.isascii() and given.isprintable()):
        raise Problem("not a value", got=value, todo="write a number, or words on one line")
    return text

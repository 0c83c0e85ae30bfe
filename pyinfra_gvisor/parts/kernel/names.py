"""Names of kernel modules and sysctls: normalise them, and refuse those that must not change."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from pyinfra_gvisor.base.errors import Problem

_MODULE = re.compile(r"[A-Za-z0-9_]{1,55}")  # MODULE_NAME_LEN in include/linux/module.h
_KEY = re.compile(r"[a-z][a-z0-9_-]*(/[A-Za-z0-9_.:@+-]+)+")
_VALUE_LIMIT = 200
_SWAPPED = str.maketrans("./", "/.")

# Patterns of modules that are never blocked, by who needs them.
NEEDED: dict[str, tuple[str, ...]] = {
    "Docker": (
        "overlay aufs fuse",
        "veth bridge stp llc br_netfilter macvlan ipvlan vxlan udp_tunnel ip6_udp_tunnel dummy",
        "ip_vs* ip_set* nf_* nft_* nfnetlink* x_tables xt_* ip_tables ip6_tables",
        "iptable_* ip6table_* ipt_* ip6t_* ebtable* ebt_*",
    ),
    "gVisor": ("tun tap kvm kvm_*",),
    "the node itself": (
        "unix af_packet ipv6 virtio* vmw_* xen_* hv_*",
        "loop squashfs dm_* md_mod ext4 jbd2 mbcache crc* xfs btrfs fat vfat nls_*",
        "nvme* sd_mod scsi_mod ahci libahci libata",
        "failover net_failover ena e1000* ixgbe* i40e igb mlx5_* r8169 vmxnet3",
    ),
}
# Regular expressions of sysctls, as paths, and who needs their value.
OWNED: dict[str, str] = {
    r"net/ipv4/ip_forward|net/ipv[46]/conf/.*/forwarding": "Docker forwards containers' packets",
    r"net/ipv4/conf/.*/route_localnet": "Docker publishes ports with it",
    r"net/bridge/.*": "Docker sets it for its bridges",
    r"user/max_user_namespaces": "sandboxes need user namespaces",
    r"kernel/modprobe": "Docker needs kernel modules",
    r"kernel/(modules_disabled|kexec_load_disabled)": "only a reboot reverts it",
}
# Values that only a reboot reverts.
FOR_GOOD = {
    ("kernel.unprivileged_bpf_disabled", "1"): "write 2, which has the same effect",
    ("kernel.yama.ptrace_scope", "3"): "write 2; 3 also blocks the ptrace that sandboxes need",
}


def module_name(text: str) -> str:
    """
    Return the name with underscores, as in the kernel; modprobe(8) treats hyphens as the same.

    Raises ``Problem`` if the text is not a module's name.
    """
    name = text.replace("-", "_")
    if text.startswith("-") or not _MODULE.fullmatch(name):
        todo = "write a name as lsmod(8) shows it"
        raise Problem("not the name of a kernel module", got=text, todo=todo)
    return name


def may_be_kept_out(name: str) -> str:
    """Return the name. Raises ``Problem`` if Docker, gVisor or the node itself needs the module."""
    for who, patterns in NEEDED.items():
        if any(fnmatchcase(name, pattern) for pattern in " ".join(patterns).split()):
            raise Problem(f"{who} needs this module", got=name, todo="remove it from the list")
    return name


def sysctl_path(text: str) -> str:
    """
    Return the path of a sysctl below ``/proc/sys``.

    The first separator decides. If it is a dot, a slash stands for a dot in an interface's name, as
    in ``net.ipv4.conf.eth0/100.mc_forwarding``. If it is a slash, dots are dots: sysctl.d(5).

    Raises ``Problem`` if the text is not the name of a sysctl.
    """
    first = next((char for char in text if char in "./"), "")
    path = text.translate(_SWAPPED) if first == "." else text
    if not _KEY.fullmatch(path) or {".", ".."} & set(path.split("/")):
        todo = "write a name such as net.ipv4.tcp_syncookies"
        raise Problem("not the name of a sysctl", got=text, todo=todo)
    return path


def sysctl_key(text: str) -> str:
    """
    Return a sysctl's name with dots; with slashes only if it contains a name with a dot.

    Raises ``Problem`` if the text is not the name of a sysctl.
    """
    path = sysctl_path(text)
    return path if "." in path else path.replace("/", ".")


def may_be_set(key: str, value: str) -> str:
    """
    Return the value.

    Raises ``Problem`` if Docker or gVisor needs the sysctl, or if only a reboot reverts the value.
    """
    path = sysctl_path(key)
    for pattern, why in OWNED.items():
        if re.fullmatch(pattern, path):
            raise Problem(f"must not be set here: {why}", got=key, todo="remove it")
    if todo := FOR_GOOD.get((key, value)):
        raise Problem("only a reboot reverts this value", got=f"{key} = {value}", todo=todo)
    return value


def sysctl_value(value: int | str) -> str:
    """Return a value with single spaces. Raises ``Problem`` unless it is one printable line."""
    given = str(value).replace("\t", " ")
    text = " ".join(given.split())
    if not 0 < len(text) <= _VALUE_LIMIT or not (given.isascii() and given.isprintable()):
        todo = f"write a number, or at most {_VALUE_LIMIT} characters on one line"
        raise Problem("not the value of a sysctl", got=value, todo=todo)
    return text

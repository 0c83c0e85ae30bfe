"""Default modules to block and sysctls to set on run nodes, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# CIS Ubuntu Linux 24.04 LTS Benchmark 2.0.0; that for Debian 13 has the same.
CIS = "CIS Ubuntu 24.04, 2.0.0:"
# Ubuntu's package kmod: protocols that socket(2) of any process would load.
RARE = "Ubuntu's kmod, blacklist-rare-network.conf"
# The Kernel Self Protection Project's recommended settings.
KSPP = "KSPP"


class Module(NamedTuple):
    """A module to block: what it is, and why it is on the list."""

    what: str
    source: str


@dataclass(frozen=True)
class Sysctl:
    """A sysctl's value, and its meaning. A node that has one of ``stricter`` keeps it."""

    value: str
    what: str
    source: str
    stricter: tuple[str, ...] = ()


# Not here although benchmarks list them: squashfs, which snap needs; overlay, which Docker needs;
# usb-storage; and udf, from which Azure provisions a node (the same benchmark says so).
MODULES: dict[str, Module] = {
    "cuse": Module("character devices in user space", "CVE-2026-96812, a way out of gVisor"),
    "algif_aead": Module("ciphers over sockets, AF_ALG", "CVE-2026-31431, Copy Fail"),
    "rxrpc": Module("AF_RXRPC, for AFS", "CVE-2026-43500, Dirty Frag"),
    **dict.fromkeys(
        ("atm", "can", "dccp", "rds", "sctp", "tipc"),
        Module("rarely used network protocols", f"{CIS} 3.2.1 to 3.2.6"),
    ),
    **dict.fromkeys(
        ("ax25", "netrom", "rose", "x25", "decnet", "ieee802154_socket"),
        Module("packet radio, X.25, DECnet, low-rate wireless", RARE),
    ),
    "appletalk": Module("AppleTalk", "CVE-2009-2903"),
    "llc2": Module("AF_LLC; bridges need llc, not this", "CVE-2017-6345"),
    "phonet": Module("modems of phones", "CVE-2021-45095"),
    "caif_socket": Module("modems of phones", "AF_CAIF is loaded by socket(2): net/socket.c"),
    "nfc": Module("near-field communication", "CVE-2021-23134"),
    "kcm": Module("messages over TCP, AF_KCM", "CVE-2024-44946"),
    "n_hdlc": Module("a line discipline of terminals", "CVE-2017-2636"),
    "n_gsm": Module("a line discipline of terminals", "CVE-2023-6546"),
    "vivid": Module("a video device for tests", "CVE-2019-18683"),
    "firewire_core": Module("FireWire, which reads memory", f"{CIS} 1.1.1.9"),
    **dict.fromkeys(
        ("cramfs", "freevxfs", "hfs", "hfsplus", "jffs2"),
        Module("file systems that no server uses", f"{CIS} 1.1.1.1 to 1.1.1.5"),
    ),
}

# Links that another user has put into /tmp and the like are not followed.
_LINKS = Sysctl("1", "blocks link attacks in /tmp", f"{CIS} 1.5.1, 1.5.2; {KSPP}")
_REDIRECTS = "ICMP redirects are ignored"
_SOURCE_ROUTE = "source-routed packets are dropped"
_ACCEPT = Sysctl("0", _REDIRECTS, f"{CIS} 3.3.1.8, 3.3.1.9")
_ACCEPT6 = Sysctl("0", _REDIRECTS, f"{CIS} 3.3.2.3, 3.3.2.4")
_SECURE = Sysctl("0", "ICMP redirects from gateways are ignored", f"{CIS} 3.3.1.10, 3.3.1.11")
_SEND = Sysctl("0", "ICMP redirects are not sent", f"{CIS} 3.3.1.4, 3.3.1.5")
_ROUTE = Sysctl("0", _SOURCE_ROUTE, f"{CIS} 3.3.1.14, 3.3.1.15")
_ROUTE6 = Sysctl("0", _SOURCE_ROUTE, f"{CIS} 3.3.2.5, 3.3.2.6", ("-1",))

# Not here: rp_filter, which breaks nodes with several uplinks; forwarding, which Docker sets; user
# namespaces, which sandboxes need; sysctls that only a reboot reverts.
SYSCTLS: dict[str, Sysctl] = {
    "dev.tty.ldisc_autoload": Sysctl("0", "only root can load line disciplines", KSPP),
    # Not 2: /usr/lib/sysctl.d/99-protect-links.conf of procps sets 1 at every boot.
    "fs.protected_fifos": Sysctl("1", _LINKS.what, f"Debian's procps; {KSPP}", ("2",)),
    "fs.protected_hardlinks": _LINKS,
    "fs.protected_regular": Sysctl("2", _LINKS.what, f"Debian's procps; {KSPP}"),
    "fs.protected_symlinks": _LINKS,
    "kernel.dmesg_restrict": Sysctl(
        "1", "only root can read the kernel log", f"{CIS} 1.5.5; {KSPP}"
    ),
    "kernel.kptr_restrict": Sysctl(
        "1", "only root can read kernel addresses", f"{CIS} 1.5.8; {KSPP}", ("2",)
    ),
    # Not 1, which only a reboot reverts (bpf_unpriv_handler in kernel/bpf/syscall.c).
    "kernel.unprivileged_bpf_disabled": Sysctl("2", "only root can use BPF", KSPP, ("1",)),
    "net.core.bpf_jit_harden": Sysctl("2", "constants in BPF programs are blinded", KSPP),
    "net.ipv4.conf.all.accept_redirects": _ACCEPT,
    "net.ipv4.conf.all.accept_source_route": _ROUTE,
    "net.ipv4.conf.all.secure_redirects": _SECURE,
    "net.ipv4.conf.all.send_redirects": _SEND,
    "net.ipv4.conf.default.accept_redirects": _ACCEPT,
    "net.ipv4.conf.default.accept_source_route": _ROUTE,
    "net.ipv4.conf.default.secure_redirects": _SECURE,
    "net.ipv4.conf.default.send_redirects": _SEND,
    "net.ipv4.tcp_syncookies": Sysctl(
        "1", "SYN floods do not block new connections", f"{CIS} 3.3.1.18", ("2",)
    ),
    "net.ipv6.conf.all.accept_redirects": _ACCEPT6,
    "net.ipv6.conf.all.accept_source_route": _ROUTE6,
    "net.ipv6.conf.default.accept_redirects": _ACCEPT6,
    "net.ipv6.conf.default.accept_source_route": _ROUTE6,
    "vm.unprivileged_userfaultfd": Sysctl(
        "0", "only root can handle the kernel's page faults with userfaultfd", KSPP
    ),
}

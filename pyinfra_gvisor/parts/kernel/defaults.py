"""What of the kernel no run node needs, and how it is better set; each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# CIS Ubuntu Linux 24.04 LTS Benchmark 2.0.0; that for Debian 13 has the same.
CIS = "CIS Ubuntu 24.04, 2.0.0:"
# Of Ubuntu's package kmod: protocols that socket(2) of any process would have loaded.
RARE = "Ubuntu's kmod, blacklist-rare-network.conf"
# The Kernel Self Protection Project's recommended settings.
KSPP = "KSPP"


class Module(NamedTuple):
    """A module that is kept out: what it is, and why it is on the list."""

    what: str
    source: str


@dataclass(frozen=True)
class Sysctl:
    """A setting's value. What is in ``stricter`` is left alone where it is found."""

    value: str
    what: str
    source: str
    stricter: tuple[str, ...] = ()


# Not here although benchmarks have them: squashfs, which snap needs; overlay, which Docker needs;
# usb-storage; and udf, from which Azure provisions a node (the same benchmark says so).
MODULES: dict[str, Module] = {
    "cuse": Module("character devices in user space", "CVE-2026-96812, a way out of gVisor"),
    "algif_aead": Module("ciphers over sockets, AF_ALG", "CVE-2026-31431, Copy Fail"),
    "rxrpc": Module("AF_RXRPC, for AFS", "CVE-2026-43500, Dirty Frag"),
    **dict.fromkeys(
        ("atm", "can", "dccp", "rds", "sctp", "tipc"),
        Module("protocols that few speak", f"{CIS} 3.2.1 to 3.2.6"),
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
        Module("file systems that no server has", f"{CIS} 1.1.1.1 to 1.1.1.5"),
    ),
}

# The links of /tmp and the like that a stranger put there are not followed.
_LINKS = Sysctl("1", "no traps for others in /tmp", f"{CIS} 1.5.1, 1.5.2; {KSPP}")
_REDIRECTS = "ICMP redirects are not taken"
_SOURCE_ROUTE = "packets that say their own way are dropped"
_ACCEPT = Sysctl("0", _REDIRECTS, f"{CIS} 3.3.1.8, 3.3.1.9")
_ACCEPT6 = Sysctl("0", _REDIRECTS, f"{CIS} 3.3.2.3, 3.3.2.4")
_SECURE = Sysctl("0", "nor from gateways", f"{CIS} 3.3.1.10, 3.3.1.11")
_SEND = Sysctl("0", "ICMP redirects are not sent", f"{CIS} 3.3.1.4, 3.3.1.5")
_ROUTE = Sysctl("0", _SOURCE_ROUTE, f"{CIS} 3.3.1.14, 3.3.1.15")
_ROUTE6 = Sysctl("0", _SOURCE_ROUTE, f"{CIS} 3.3.2.5, 3.3.2.6", ("-1",))

# Not here: rp_filter, which breaks nodes with several ways out; whatever forwards packets, which is
# Docker's; user namespaces, which sandboxes are made of; what only a reboot would undo.
SYSCTLS: dict[str, Sysctl] = {
    "dev.tty.ldisc_autoload": Sysctl("0", "line disciplines are loaded for root only", KSPP),
    # Not 2: /usr/lib/sysctl.d/99-protect-links.conf of procps sets 1 behind every boot.
    "fs.protected_fifos": Sysctl("1", _LINKS.what, f"Debian's procps; {KSPP}", ("2",)),
    "fs.protected_hardlinks": _LINKS,
    "fs.protected_regular": Sysctl("2", _LINKS.what, f"Debian's procps; {KSPP}"),
    "fs.protected_symlinks": _LINKS,
    "kernel.dmesg_restrict": Sysctl("1", "the kernel's log is root's", f"{CIS} 1.5.5; {KSPP}"),
    "kernel.kptr_restrict": Sysctl(
        "1", "the kernel's addresses are root's", f"{CIS} 1.5.8; {KSPP}", ("2",)
    ),
    # Not 1, from which there is no way back (bpf_unpriv_handler in kernel/bpf/syscall.c).
    "kernel.unprivileged_bpf_disabled": Sysctl("2", "BPF is root's", KSPP, ("1",)),
    "net.core.bpf_jit_harden": Sysctl("2", "constants in BPF are blinded", KSPP),
    "net.ipv4.conf.all.accept_redirects": _ACCEPT,
    "net.ipv4.conf.all.accept_source_route": _ROUTE,
    "net.ipv4.conf.all.secure_redirects": _SECURE,
    "net.ipv4.conf.all.send_redirects": _SEND,
    "net.ipv4.conf.default.accept_redirects": _ACCEPT,
    "net.ipv4.conf.default.accept_source_route": _ROUTE,
    "net.ipv4.conf.default.secure_redirects": _SECURE,
    "net.ipv4.conf.default.send_redirects": _SEND,
    "net.ipv4.tcp_syncookies": Sysctl(
        "1", "a flood of SYN shuts nobody out", f"{CIS} 3.3.1.18", ("2",)
    ),
    "net.ipv6.conf.all.accept_redirects": _ACCEPT6,
    "net.ipv6.conf.all.accept_source_route": _ROUTE6,
    "net.ipv6.conf.default.accept_redirects": _ACCEPT6,
    "net.ipv6.conf.default.accept_source_route": _ROUTE6,
    "vm.unprivileged_userfaultfd": Sysctl("0", "userfaultfd for the kernel is root's", KSPP),
}

"""A signed apt repository with a runsc package in gVisor's layout, made here."""

import atexit
import hashlib
import subprocess
from pathlib import Path

_CONTROL = """Package: runsc
Version: {version}
Architecture: amd64
Maintainer: nobody <nobody@localhost>
Description: test
"""
# What gVisor's own does when it is installed; here it would be seen.
_POSTINST = "#!/bin/sh\necho ran >> /etc/docker/postinst-ran\n"


def build_package(directory: Path, members: dict[str, bytes], release: str) -> Path:
    """``runsc.deb`` with these members in ``usr/bin``, as gVisor's has since August 2026."""
    tree = directory / "tree"
    for name, content in members.items():
        path = tree / "usr/bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)
    (tree / "etc/containerd").mkdir(parents=True)
    (tree / "etc/containerd/runsc.toml").write_text("\n")
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(_CONTROL.format(version=release))
    (tree / "DEBIAN/postinst").write_text(_POSTINST)
    (tree / "DEBIAN/postinst").chmod(0o755)
    made = directory / "runsc.deb"
    _run("dpkg-deb", "--root-owner-group", "-Zgzip", "-b", str(tree), str(made))
    return made


class Signer:
    """A key of its own, in a directory of its own."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self._gpg = ("gpg", "--homedir", str(home), "--batch", "--yes", "--quiet")
        _run(*self._gpg, "--passphrase", "", "--quick-gen-key", "test", "ed25519", "sign", "never")
        atexit.register(_run, "gpgconf", "--homedir", str(home), "--kill", "gpg-agent")

    def key(self) -> bytes:
        """The public key, as ``archive.key``."""
        return _run(*self._gpg, "--armor", "--export")

    def sign(self, text: bytes) -> bytes:
        """``InRelease`` of ``Release``."""
        return _run(*self._gpg, "--clearsign", "--output", "-", stdin=text)


def repository(package: Path, release: str, signer: Signer, suite: str) -> dict[str, bytes]:
    """The files of the repository by path, with the package in one suite."""
    content = package.read_bytes()
    where = f"pool/{release}/binary-amd64/runsc.deb"
    packages = (
        _CONTROL.format(version=release)
        + f"Filename: {where}\nSize: {len(content)}\n"
        + f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
    ).encode()
    index = "main/binary-amd64/Packages"
    listed = f" {hashlib.sha256(packages).hexdigest()} {len(packages)} {index}\n"
    head = "Origin: test\nDate: Tue, 24 Nov 2026 00:00:00 UTC\nArchitectures: amd64\n"
    text = f"{head}Suite: {suite}\nCodename: {suite}\nComponents: main\nSHA256:\n{listed}".encode()
    return {
        "archive.key": signer.key(),
        where: content,
        f"dists/{suite}/{index}": packages,
        f"dists/{suite}/InRelease": signer.sign(text),
    }


def _run(*command: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout

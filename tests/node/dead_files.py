"""
Mounts a file system that answers nothing, on a node: ``python3 dead_files.py DIRECTORY``.

As on a network file system whose server is gone, whoever asks for a file there waits, and cannot be
killed: fuse(4), linux/fuse.h.
"""

import os
import struct
import subprocess
import sys

INIT = 26
VERSION = (7, 31)


def main() -> None:
    """Mount it, and read without an answer whatever is asked for after the beginning."""
    asked = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={asked},rootmode=40000,user_id=0,group_id=0,allow_other"
    command = ["mount", "-i", "-t", "fuse", "-o", options, "dead", sys.argv[1]]
    subprocess.run(command, check=True, pass_fds=[asked])
    while True:
        _, opcode, unique = struct.unpack_from("<IIQ", os.read(asked, 1 << 17))
        if opcode == INIT:
            body = struct.pack("<IIIIHHIIHHI28x", *VERSION, 0, 0, 0, 0, 1 << 16, 1, 0, 0, 0)
            os.write(asked, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)


main()

#!/usr/bin/env python3
"""Mounts FUSE for a process that may not, and passes it the connection. Needs nothing but Python.

    pass-fuse.py mount DIR SOCKET              with CAP_SYS_ADMIN: serves SOCKET until it is told to end
    pass-fuse.py take SOCKET -- PROGRAM ...    without: PROGRAM gets the connection as descriptor 3

Who connects to SOCKET gets a new mount at DIR: an earlier one is detached, for a connection ends with the process that
serves it. The mounter keeps no descriptor, so that this end reaches those who use the mount.
"""

import array
import ctypes
import os
import signal
import socket
import sys
import time

MS_NOSUID, MS_NODEV, MNT_DETACH = 2, 4, 2
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def is_mounted(directory):
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == directory for line in mounts)


def detach(directory):
    while is_mounted(directory):
        check(libc.umount2(directory.encode(), MNT_DETACH), f"umount {directory}")


def new_connection(directory):
    detach(directory)
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    flags = MS_NOSUID | MS_NODEV
    check(libc.mount(b"s3", directory.encode(), b"fuse.mount-s3x", flags, options.encode()), f"mount {directory}")
    return fd


def mount(directory, path):
    os.makedirs(directory, exist_ok=True)
    directory = os.path.realpath(directory)
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    # Whoever reaches the directory of the socket may serve the mount.
    os.chmod(path, 0o666)
    listener.listen(1)

    def end(*_):
        detach(directory)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while True:
        taker, _ = listener.accept()
        with taker:
            fd = new_connection(directory)
            taker.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
            os.close(fd)


def take(path, program):
    deadline = time.monotonic() + 60
    while True:
        try:
            giver = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            giver.connect(path)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    _, ancillary, _, _ = giver.recvmsg(1, socket.CMSG_SPACE(4))
    if not ancillary:
        sys.exit("pass-fuse: no descriptor came: see what the mounter says")
    fd = array.array("i", ancillary[0][2][:4])[0]
    giver.close()
    if fd == 3:
        os.set_inheritable(fd, True)
    else:
        os.dup2(fd, 3, inheritable=True)
    os.execvp(program[0], program)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) == 3 and arguments[0] == "mount":
        mount(arguments[1], arguments[2])
    elif len(arguments) > 3 and arguments[0] == "take" and arguments[2] == "--":
        take(arguments[1], arguments[3:])
    else:
        sys.exit(__doc__)

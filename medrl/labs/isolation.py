"""What a student's code runs in: no network, one folder to write in, limits on time and memory.

On Linux `unshare` gives the process a network, a process table and a view of the disk of its own.
Where it is not allowed only Python's sockets are blocked, and the process says so.
"""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# Own users, network, mounts and processes; when `unshare` is killed, so are all of them.
UNSHARE = ("unshare", "-r", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "--")
CUT = "cut"
BLOCKED = "not cut: only Python's sockets were blocked"
LARGEST_FILE = 100 * 2**20  # bytes
PROCESSES = 256

# Of linux/mount.h, linux/prctl.h and linux/capability.h; the system call has one number everywhere.
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_MOUNT_SETATTR, _HERE, _ALL_BELOW, _READ_ONLY = 442, -100, 0x8000, 1
_DROP_BOUND, _NO_NEW_PRIVILEGES, _CAPABILITIES_3 = 24, 38, 0x20080522


@dataclass(frozen=True)
class Limits:
    """What one notebook may use.

    Arguments: `seconds` of the whole notebook, by the clock and of computing; `cell_seconds` of one
    cell or one call; `memory` in GB of address space.
    """

    seconds: float = 600
    cell_seconds: float = 120
    memory: float = 8


@cache
def available() -> bool:
    """Return whether this machine lets us cut off a process."""
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def enter(scratch: Path, hidden: Iterable[Path], limits: Limits, unshared: bool) -> str:
    """Confine this process for good; call it before any code of a student runs.

    Arguments: `scratch` the one folder that it may write in; `hidden` folders that it shall not
    see; `limits` of the notebook; `unshared` whether it was started by UNSHARE.
    Returns: CUT or BLOCKED. Raises: OSError if the system refuses.
    """
    if unshared:
        _close_the_disk(scratch, hidden)
        _drop_rights()
        resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))
    else:
        _block_sockets()
    memory = int(limits.memory * 2**30)
    if sys.platform == "linux":  # elsewhere it is not kept, or the interpreter does not start
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    computing = max(1, round(limits.seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (computing, computing + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return CUT if unshared else BLOCKED


def _close_the_disk(scratch: Path, hidden: Iterable[Path]) -> None:
    """Make all but one folder read-only, and some empty; needs the rights of a fresh namespace."""
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    _mount(str(scratch), str(scratch), None, _BIND)
    for folder in hidden:
        if folder.is_dir():
            _mount("tmpfs", str(folder), "tmpfs", 0)
    _set_attributes("/", _ALL_BELOW, on=_READ_ONLY)
    _set_attributes(str(scratch), 0, off=_READ_ONLY)
    os.chdir(scratch)  # again, through the new mount


def _drop_rights() -> None:
    """Give up every right over the namespaces, so that what was closed stays closed."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for right in range(last + 1):
        _done(_libc().prctl(_DROP_BOUND, right, 0, 0, 0), "bounding set")
    none = (ctypes.c_uint32 * 6)()
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    _done(_libc().capset(header, none), "capset")
    _done(_libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no_new_privs")


def _block_sockets() -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("there is no network while a notebook is graded")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        setattr(socket, name, refuse)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    names = [one.encode() if one else None for one in (source, target, kind)]
    _done(_libc().mount(*names, ctypes.c_ulong(flags), None), f"mount {target}")


def _set_attributes(target: str, below: int, on: int = 0, off: int = 0) -> None:
    wanted = (ctypes.c_uint64 * 4)(on, off, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    name = target.encode()
    failed = _libc().syscall(
        ctypes.c_long(_MOUNT_SETATTR), _HERE, name, below, ctypes.byref(wanted), size
    )
    _done(failed, f"mount_setattr {target}")


def _done(returned: int, what: str) -> None:
    if returned:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")

"""Walls around the process that runs a candidate: Linux namespaces, in which all files but its scratch are read-only."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

from .verdict import key_file

SCRATCH_BYTES = 512 << 20
"""How much a candidate may keep in files: its scratch folder lies in memory, and takes no more."""

_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000  # fmt: skip
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_MOUNT_SETATTR, _CAPSET = 442, {"x86_64": 126, "aarch64": 91}
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY = 1
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 1, 38, 36


def confine(scratch: Path) -> str:
    """Move this process behind the walls; returns "" if all stand, else what this machine refuses to set up.

    From then on every file is read-only except below `scratch`, which is empty, in memory and bounded, and the gate's
    key is hidden. The process has no network and no capability, sees no process but its own, and when it ends, the
    kernel ends everything it started, however hidden. To that end this forks, and the caller continues in the child.
    Call it before
    anything starts a thread.
    """
    try:
        _enter()
        _fork()
        _fork()  # the first process of a namespace ignores every signal that it does not handle, even abort's
        _close(scratch)
        _drop()
    except OSError as error:
        return f"{error.strerror or error} ({error.filename or 'confining'})"
    os.chdir(scratch)
    return ""


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Make orphaned descendants children of this process, so that they can be found and ended."""
    _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _enter() -> None:
    user, group = os.geteuid(), os.getegid()
    flags = _CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWPID | _CLONE_NEWNET
    if _libc().unshare(flags) == 0:
        return
    # without privileges (root in a container has few) a user gets them inside a namespace of users, and there alone
    _checked(_libc().unshare(flags | _CLONE_NEWUSER), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path(f"/proc/self/{name}").write_text(text)


def _fork() -> None:
    """Continue in a child; this process waits, and ends as the child does."""
    child = os.fork()
    if not child:
        end_with_parent()
        return
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    number = -status if status < 0 else status - 128 if status > 128 else 0
    if number in signal.valid_signals():
        end_by(number)
    os._exit(status)


def end_by(number: int) -> None:
    """End this process by a signal, as another ended; with exit code 128 + its number if the kernel blocks the signal."""
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _close(scratch: Path) -> None:
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)
    _read_only("/")
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV)
    _mount("tmpfs", "/dev/shm", "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={SCRATCH_BYTES},mode=700")
    if key_file().is_file():
        _mount("/dev/null", str(key_file()), "", _MS_BIND)
    _mount("tmpfs", str(scratch), "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={SCRATCH_BYTES},mode=700")


def _read_only(root: str) -> None:
    """Make every mount below `root` read-only, in one call that keeps each one's other flags (mount_setattr, Linux 5.12)."""
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    path = ctypes.c_char_p(root.encode())
    _checked(_libc().syscall(_MOUNT_SETATTR, _AT_FDCWD, path, _AT_RECURSIVE, ctypes.byref(attributes), size), "mount_setattr")  # fmt: skip


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = [one.encode() or None for one in (source, target, kind)]
    _checked(_libc().mount(*words, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def _drop() -> None:
    """Drop all capabilities: without them nobody can remount anything, not even root, and a program that is started
    gets none back."""
    _checked(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    number = _CAPSET.get(os.uname().machine)
    if number is None:
        raise OSError(0, f"no number of capset is known for {os.uname().machine}", "capset")
    header, none = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _checked(_libc().syscall(number, ctypes.byref(header), ctypes.byref(none)), "capset")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)

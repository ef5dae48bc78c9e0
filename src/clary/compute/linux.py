"""System calls and /proc reads that Python lacks; not on Linux, the calls raise and the reads are empty."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACES = {
    "user": CLONE_NEWUSER,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "net": CLONE_NEWNET,
    "pid": CLONE_NEWPID,
    "mnt": CLONE_NEWNS,
}
"""Flag of `setns` by the name under /proc/<pid>/ns, in the order to enter them."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_MADV_HUGEPAGE = 14
_MADV_COLLAPSE = 25
_HUGE_PAGE = 1 << 21

IS_LINUX = sys.platform.startswith("linux")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def setns(descriptor: int, kind: int) -> None:
    """Enter the namespace that `descriptor` refers to; for pid namespaces, the children will."""
    _checked(_libc().setns(descriptor, kind), "setns")


def gather_memory() -> int:
    """Put what this process has written on huge pages, of which a fork copies few; return how many it took.

    Before Linux 6.1 there is no such call, and nothing happens.
    """
    madvise = _libc().madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    n_gathered = 0
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, rights, _, _, _, *name = line.split()
            if rights != "rw-p" or name not in ([], ["[heap]"]):
                continue
            begin, end = (int(each, 16) for each in span.split("-"))
            for page in range(-(-begin // _HUGE_PAGE) * _HUGE_PAGE, end - _HUGE_PAGE + 1, _HUGE_PAGE):
                madvise(page, _HUGE_PAGE, _MADV_HUGEPAGE)
                n_gathered += madvise(page, _HUGE_PAGE, _MADV_COLLAPSE) == 0
    return n_gathered


def die_with_parent(number: int = 9) -> None:
    """Have the kernel send `number` to this process when the thread that forked it ends."""
    _checked(_libc().prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def drop_bounds() -> None:
    """Give up every capability that a later `exec` could gain; needs privilege, harmless without."""
    for number in range(_LAST_CAPABILITY + 1):
        if _libc().prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            break  # beyond the kernel's last one


def drop_capabilities() -> None:
    """Give up every capability, and any hope of new ones through `exec`."""
    libc = _libc()
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    _checked(libc.capset(header, sets), "capset")
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def has_capability(number: int) -> bool:
    """Return whether this process holds a capability now."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    masks = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    return bool(masks) and bool(int(masks[0], 16) >> number & 1)


def start_time(pid: int) -> int | None:
    """Return when `pid` started, in ticks since boot; None where there is no such live process.

    A zombie is no live process. With the pid this names a process for good: pids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _alive_elsewhere(pid)
    state, *rest = stat[stat.rindex(")") + 2 :].split()
    return None if state in "ZX" else int(rest[18])


def _alive_elsewhere(pid: int) -> int | None:
    if IS_LINUX:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0  # no /proc: the pid alone must do


def stamp(pid: int) -> str:
    """Return `<pid> <start time>`, what a `pid` file holds."""
    return f"{pid} {start_time(pid) or 0}"


def stamped(path: Path) -> int | None:
    """Return the pid that a `pid` file names, if that very process still lives."""
    try:
        pid, _, started = path.read_text().partition(" ")
        return int(pid) if start_time(int(pid)) == int(started or 0) else None
    except (OSError, ValueError):
        return None


def pids() -> Iterator[int]:
    """Yield the ids of all processes that this one can see."""
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdecimal():
                yield int(name)


def namespace_id(pid: int, name: str) -> int | None:
    """Return the inode of one namespace of `pid`; None where it may not be seen."""
    try:
        return os.stat(f"/proc/{pid}/ns/{name}").st_ino
    except OSError:
        return None


def parent_of(pid: int) -> int | None:
    """Return the parent of `pid`; None where it has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def resident_bytes(pid: int) -> int:
    """Return the resident memory of `pid`, shared pages counted whole; 0 where it has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def proportional_bytes(pid: int) -> int:
    """Return the memory of `pid` with shared pages divided among their users; slower than resident."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return resident_bytes(pid)
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def set_dumpable() -> None:
    """Let this process read its own /proc entries again after a change of user id."""
    _checked(_libc().prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def adopt_orphans() -> None:
    """Make this process, not init, the parent of descendants whose parents end."""
    _checked(_libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def inotify_open() -> int:
    """Return a descriptor on which the kernel reports changes in folders; reads of it never wait."""
    return _checked(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")


def inotify_add(descriptor: int, path: Path, mask: int) -> int:
    """Watch a folder, and return the watch's number."""
    return _checked(_libc().inotify_add_watch(descriptor, os.fsencode(path), mask), f"inotify {path}")


def inotify_remove(descriptor: int, number: int) -> None:
    """Watch a folder no more; one that is gone is not watched anyway."""
    _libc().inotify_rm_watch(descriptor, number)


def map_user(uid: int, gid: int) -> None:
    """Enter a user namespace in which this process, so far user 0 of its own, is `uid` and `gid`."""
    set_dumpable()  # else /proc/self belongs to somebody else
    _checked(_libc().unshare(CLONE_NEWUSER), "unshare(CLONE_NEWUSER)")
    set_dumpable()
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} 0 1"), ("gid_map", f"{gid} 0 1")):
        Path(f"/proc/self/{name}").write_text(text)

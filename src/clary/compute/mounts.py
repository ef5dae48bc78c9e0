"""The file system inside a sandbox: what is shown, hidden, bound; as arguments of bubblewrap.

/                    a new folder holding the machine's entries, read-only
├── opt/ml           home/ml, writable
├── tmp, var/tmp     home/tmp, writable
├── home/clary       home/user, writable
├── root, home, run  empty, but for the Python environment if it lives there
├── <data folder>    empty
└── dev, proc, sys   minimal; of the own processes; read-only
"""

import contextlib
import os
import site
import stat
import sys
import sysconfig
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ML = "/opt/ml"
HOME = "/home/clary"
"""Home folder inside; on disk, so that caches do not eat the host's memory."""
TMP = "/tmp"  # noqa: S108 - a name inside the sandbox
VAR_TMP = "/var/tmp"  # noqa: S108 - a name inside the sandbox
SHM = "/dev/shm"  # noqa: S108 - a name inside the sandbox
HIDDEN = ("/home", "/root", "/run")
OWN = ("/proc", "/dev", TMP)
"""Top folders that bubblewrap makes itself, or that are bound anew."""


@dataclass(frozen=True, kw_only=True)
class Mounts:
    """What one sandbox shows."""

    home: Path
    """The host's folder: `ml`, `tmp`, `user`, `etc` in it."""
    binds: tuple[tuple[str, str], ...] = ()
    ro_binds: tuple[tuple[str, str], ...] = ()
    hidden: tuple[Path, ...] = ()
    """Folders to show empty: the data folder, the sockets."""
    environment: tuple[Path, ...] = ()
    """Folders and files that must be readable at their own paths, whatever lies above them."""
    shared_memory_bytes: int = 0
    """Size of /dev/shm."""
    is_foreign: bool = False
    """The job runs under another user id than the server: folders closed to others are in its way."""
    devices: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return bubblewrap's arguments, outer mounts before inner ones."""
        steps: list[tuple[str, list[str]]] = [("/dev", ["--dev", "/dev"]), ("/proc", ["--proc", "/proc"])]
        shm = ["--perms", "1777", "--size", str(self.shared_memory_bytes), "--tmpfs", SHM]
        steps.append((SHM, shm if self.shared_memory_bytes else [*shm[:2], *shm[4:]]))
        steps += [(each, ["--dev-bind", each, each]) for each in self.devices]
        steps += [(path, ["--perms", "0755", "--tmpfs", path]) for path in self._emptied]
        steps += [(path, self._entries(path)) for path in self._opened]
        steps += [(path, ["--perms", "0755", "--dir", path]) for path in self._made]
        for inside, (outside, writable) in self._bound.items():
            steps.append((inside, ["--bind" if writable else "--ro-bind", outside, inside]))
        steps.sort(key=lambda step: _depth(step[0]))
        sealed = [path for path in (*self._emptied, *self._opened) if path not in self._bound]
        seals = [word for path in sorted(sealed, key=_depth) for word in ("--remount-ro", path)]
        return [word for _, words in steps for word in words] + seals

    @cached_property
    def _bound(self) -> dict[str, tuple[str, bool]]:
        """By path inside: the path outside, and whether it is writable. Later ones win."""
        etc = self.home / "etc"
        pairs = [(str(path), str(path), False) for path in self._brought_back]
        pairs += [(str(self.home / "user"), HOME, True), (str(self.home / "tmp"), TMP, True)]
        pairs += [(str(self.home / "tmp"), VAR_TMP, True), (str(self.home / "ml"), ML, True)]
        pairs += [(str(etc / name), f"/etc/{name}", False) for name in ("hosts", "passwd", "group")]
        pairs += [(outside, inside, False) for outside, inside in self.ro_binds]
        pairs += [(outside, inside, True) for outside, inside in self.binds]
        return {_place(inside): (outside, writable) for outside, inside, writable in pairs}

    @cached_property
    def _emptied(self) -> list[str]:
        """Folders shown empty: asked for, or closed to the job while something below must be read."""
        asked = {os.path.realpath(str(path)) for path in (*HIDDEN, Path.home(), *self.hidden)}
        paths = {path for path in asked if os.path.isdir(path) and path != "/"}
        if self.is_foreign:
            for each in self.environment:
                closed = (str(above) for above in reversed(each.parents) if not _is_open(above))
                paths.update(list(closed)[:1])
        outermost = {path for path in paths if not any(_is_below(path, other) for other in paths)}
        # what lies in our own /tmp or below a hidden folder is gone already
        return sorted(path for path in outermost if not any(_is_below(path, own) for own in (*OWN, VAR_TMP)))

    @cached_property
    def _brought_back(self) -> list[Path]:
        """What of the environment the emptied folders, or our own /tmp, would hide."""
        lost = (*self._emptied, TMP, VAR_TMP)
        resolver = Path(os.path.realpath("/etc/resolv.conf"))
        wanted = [*self.environment, *([resolver] if resolver.exists() else [])]
        hidden = [path for path in wanted if any(_is_below(str(path), other) for other in lost)]
        return [path for path in hidden if not any(other in path.parents for other in hidden)]

    @cached_property
    def _opened(self) -> list[str]:
        """Folders to rebuild entry by entry, because a mount point must be made in them."""
        opened = {"/"}
        fresh = (*self._emptied, *OWN)
        for inside in self._bound:
            if any(_is_below(inside, path) for path in (*fresh, *self._parents_bound(inside))):
                continue
            if not os.path.lexists(inside) or os.path.islink(inside):
                above = os.path.dirname(inside)
                while not os.path.isdir(above):
                    above = os.path.dirname(above)
                opened.add(above)
        return sorted(opened)

    @cached_property
    def _made(self) -> list[str]:
        """Folders on the way to mount points that are not there; bubblewrap would close them to others."""
        made: set[str] = set()
        for inside in self._bound:
            for above in map(str, Path(inside).parents):
                lost = any(_is_below(above, path) for path in (*self._emptied, TMP, VAR_TMP))
                if (lost or not os.path.isdir(above)) and above not in self._bound:
                    made.add(above)
        return sorted(made - {*self._emptied, *self._opened})

    def _parents_bound(self, inside: str) -> list[str]:
        return [path for path in self._bound if _is_below(inside, path)]

    def _entries(self, folder: str) -> list[str]:
        """Return the steps that show the entries of `folder`, save those that are mounted otherwise."""
        words = [] if folder == "/" else ["--perms", "0755", "--tmpfs", folder]
        taken = {*self._bound, *self._emptied, *self._opened, *OWN}
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if path in taken:
                continue
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                words += ["--symlink", os.readlink(path), path]
            elif stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                words += ["--ro-bind-try", path, path]
        return words


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The names a program finds for itself and its peers."""

    uid: int
    gid: int
    hostname: str
    addresses: dict[str, str] = field(default_factory=dict)
    """By host of the run, its own loopback address."""

    def write(self, etc: Path) -> None:
        """Write `hosts`, `passwd` and `group` into `etc`."""
        etc.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
        lines += [f"{address} {name}" for name, address in self.addresses.items()]
        if self.hostname not in self.addresses:
            lines.append(f"127.0.0.1 {self.hostname}")
        (etc / "hosts").write_text("\n".join(lines) + "\n")
        user = f"clary:x:{self.uid}:{self.gid}:Clary job:{HOME}:/bin/sh"
        (etc / "passwd").write_text(_with_entry("/etc/passwd", user, self.uid))
        (etc / "group").write_text(_with_entry("/etc/group", f"clary:x:{self.gid}:", self.gid))
        for name in ("hosts", "passwd", "group"):
            (etc / name).chmod(0o644)  # read by the job's user, whatever our umask is


def python_environment(other: str = "") -> tuple[Path, ...]:
    """Return what this Python needs to run and import what it can import now.

    Parameters
    ----------
    other : str
        Executable of another environment that must be visible too.
    """
    paths = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    paths.update(site.getsitepackages())
    # an editable install lies elsewhere; its folder alone, for its parent may be somebody's home
    paths.add(str(Path(__file__).resolve().parents[1]))
    paths.update({os.path.abspath(path) for path in sys.path if path} - {str(Path.home()), "/"})
    paths.update(_hops(sys.executable))
    if other:
        paths.update(_environment_of(other))
    both = {Path(path) for each in paths for path in (os.path.abspath(each), os.path.realpath(each))}
    return tuple(sorted(path for path in both if path.exists() and path != Path("/")))


def _environment_of(executable: str) -> list[str]:
    """Return the folders of the environment, virtual or not, that an executable belongs to."""
    prefix = Path(executable).absolute().parent.parent
    found = [*_hops(executable), str(prefix)]
    with contextlib.suppress(OSError):
        for line in (prefix / "pyvenv.cfg").read_text().splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                found.append(str(Path(value.strip()).parent))
    return found


def _hops(executable: str) -> list[str]:
    """Return every name on the chain of links that leads to `executable`."""
    names: list[str] = []
    while os.path.islink(executable) and len(names) < 40:
        names.append(executable)
        executable = os.path.join(os.path.dirname(executable), os.readlink(executable))
    return [*names, executable]


def _with_entry(path: str, line: str, number: int) -> str:
    try:
        text = Path(path).read_text()
    except OSError:
        text = "root:x:0:0:root:/root:/bin/sh\n" if path.endswith("passwd") else "root:x:0:\n"
    known = any(entry.split(":")[2:3] == [str(number)] for entry in text.splitlines())
    return text if known else f"{text.rstrip()}\n{line}\n"


def _place(inside: str) -> str:
    """Return `inside` with links above it followed: mount points cannot be made through links."""
    above, name = os.path.split(os.path.normpath(inside))
    return os.path.join(os.path.realpath(above), name)


def _is_open(path: Path) -> bool:
    """Return whether users other than the owner may pass through the folder."""
    return bool(path.stat().st_mode & stat.S_IXOTH)


def _is_below(path: str, other: str) -> bool:
    return path != other and path.startswith(other.rstrip("/") + "/")


def _depth(path: str) -> int:
    return 0 if path == "/" else path.count("/")

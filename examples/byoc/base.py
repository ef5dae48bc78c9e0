"""Write the root file system of a small base image: this machine's Python and what it needs, as a tar.

    python examples/byoc/base.py | podman import - localhost/byoc-base:1

For where no registry can be reached; elsewhere `FROM python:3.11-slim` is the shorter way.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

PROGRAMS = ("sh", "env", "cat", "ls", "mkdir", "rm", "cp", "chmod", "chown", "sleep", "id", "hostname", "tar")
LEFT_OUT = re.compile(
    r"/(test|tests|idlelib|turtledemo|site-packages|__pycache__|config-[^/]*|ensurepip)(/|$)"
)
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
FOLDERS = ("usr", "usr/bin", "tmp", "root", "opt", "var/tmp", "run", "proc", "sys", "dev", "etc", "home")


def main() -> None:
    """Write the tar to stdout."""
    prefix = Path(sys.base_prefix)
    python = Path(os.path.realpath(sys.executable))
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(prefix), "base": str(prefix)}))
    binaries = [python, *(Path(found) for name in PROGRAMS if (found := shutil.which(name)))]
    wanted = {Path(os.path.realpath(each)) for each in binaries}
    modules = {path for path in library.rglob("*") if path.is_file() and not LEFT_OUT.search(str(path))}
    native = {path for path in modules if path.suffix == ".so"}
    libraries = needed([*wanted, *native])
    # what the C library opens by name when a host name is looked up
    libraries |= {
        each.with_name(name) for each in libraries for name in ("libnss_dns.so.2", "libnss_files.so.2")
    }
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
        for name in FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
            tar.addfile(folder)
        for name, text in FILES.items():
            file = tarfile.TarInfo(name)
            file.size = len(text)
            tar.addfile(file, io.BytesIO(text.encode()))
        for path in sorted({each for each in {*modules, *libraries} if each.is_file()}):
            tar.add(os.path.realpath(path), arcname=str(path).lstrip("/"), recursive=False)
        for path in binaries[1:]:
            tar.add(os.path.realpath(path), arcname=f"usr/bin/{path.name}", recursive=False)
        tar.add(python, arcname=str(python).lstrip("/"), recursive=False)
        for name, target in (("bin", "usr/bin"), ("usr/bin/python", python), ("usr/bin/python3", python)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, str(target)
            tar.addfile(link)


def needed(binaries: list[Path]) -> set[Path]:
    """Return the shared libraries that binaries load, the loader among them."""
    found: set[Path] = set()
    for path in binaries:
        told = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
        found |= {Path(each) for each in re.findall(r"(/\S+) \(0x", told)}
    return found


if __name__ == "__main__":
    main()

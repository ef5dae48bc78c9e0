"""Programs without a mount namespace: their paths are those outside."""

import contextlib
import os
from dataclasses import replace
from pathlib import Path

from clary.compute import mounts
from clary.compute.runners.base import Program


def relocated(program: Program, home: Path) -> Program:
    """Return `program` with `/opt/ml`, and what it binds, replaced by the paths outside.

    Without a mount namespace a program sees the machine's own file system. What reads `SM_*` or
    `SAGEMAKER_BASE_DIR` works; a path written into a script does not.
    """
    pairs = [(inside_path, outside) for outside, inside_path in (*program.binds, *program.ro_binds)]
    for inside_path, outside in pairs:
        link = home / "ml" / os.path.relpath(inside_path, mounts.ML)
        if inside_path.startswith(f"{mounts.ML}/") and not link.is_symlink():
            with contextlib.suppress(OSError):
                link.rmdir()  # a mount point, made for a sandbox that there is not
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(outside)
    pairs = [pair for pair in pairs if not pair[0].startswith(f"{mounts.ML}/")]
    pairs.append((mounts.ML, str(home / "ml")))

    def moved(text: str) -> str:
        for old, new in pairs:
            text = text.replace(old, new)
        return text

    def moved_all(value: object) -> object:
        match value:
            case str():
                return moved(value)
            case dict():
                return {key: moved_all(each) for key, each in value.items()}
            case list() | tuple():
                return [moved_all(each) for each in value]
            case _:
                return value

    arguments = moved_all(dict(program.arguments))
    assert isinstance(arguments, dict)
    return replace(
        program,
        argv=tuple(moved(each) for each in program.argv),
        arguments=arguments,
        environment={name: moved(value) for name, value in program.environment.items()},
        directory=moved(program.directory),
    )

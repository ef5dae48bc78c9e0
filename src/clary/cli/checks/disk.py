"""The data folder and its disk."""

import os
import shutil
from collections.abc import Iterator

from clary.cli.checks.base import Finding, Grade
from clary.cli.preflight import MIN_FREE_BYTES
from clary.kernel.settings import Settings

SUBJECT = "Data folder"
COMFORT_BYTES = 5 * 2**30


def check(settings: Settings) -> Iterator[Finding]:
    """Look at room and rights; the folder need not exist yet."""
    folder = settings.data_dir
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        text = f"{folder} cannot be made or written by user id {os.getuid()}"
        mend = "choose another: clary up --data-dir FOLDER, or set CLARY_DATA_DIR"
        yield Finding(subject=SUBJECT, grade=Grade.BROKEN, text=text, mend=mend)
        return
    free = shutil.disk_usage(nearest).free
    text = f"{folder}, {free / 2**30:.1f} GB free"
    if free < COMFORT_BYTES:
        grade = Grade.BROKEN if free < MIN_FREE_BYTES else Grade.LIMITED
        yield Finding(
            subject=SUBJECT, grade=grade, text=text, mend="free some, or choose another disk: --data-dir"
        )
    else:
        yield Finding(subject=SUBJECT, grade=Grade.OK, text=text)

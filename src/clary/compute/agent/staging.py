"""Bringing in archives: `sourcedir.tar.gz`, `model.tar.gz`."""

from pathlib import Path

from clary.toolkit import archive
from clary.toolkit.objects import Entry, Objects, split_uri


def fetch_archive(objects: Objects, uri: str, folder: Path, work: Path) -> int:
    """Download a gzipped tar and unpack it into `folder`; return the number of members.

    Parameters
    ----------
    work : Path
        Folder of the agent's own, for the archive itself.

    Raises
    ------
    CustomerError
        It is missing, damaged, or reaches outside `folder`; the text names the URI.
    """
    path = work / f"{folder.name}.tar.gz"
    path.unlink(missing_ok=True)
    bucket, key = split_uri(uri)
    # listed, not looked at: the answer to HEAD has no body that could say what is wrong
    listed = next(objects.list(uri), None)
    entry = listed if listed is not None and listed.key == key else Entry(bucket, key)
    objects.fetch([(entry, path)])
    with path.open("rb") as file:
        count = archive.unpack(file, folder, what=uri)
    path.unlink()
    return count

"""Bringing in archives: `sourcedir.tar.gz`, `model.tar.gz`."""

from pathlib import Path

from clary.toolkit import archive
from clary.toolkit.objects import Entry, Objects, split_uri


def fetch_archive(objects: Objects, uri: str, folder: Path, work: Path, *, is_large: bool = True) -> int:
    """Download a gzipped tar and unpack it into `folder`; return the number of members.

    Parameters
    ----------
    work : Path
        Folder of the agent's own, for the archive itself.
    is_large : bool
        Whether it is worth a request to learn its length, so that it may travel in parts.

    Raises
    ------
    CustomerError
        It is missing, damaged, or reaches outside `folder`; the text names the URI.
    """
    path = work / f"{folder.name}.tar.gz"
    path.unlink(missing_ok=True)
    bucket, key = split_uri(uri)
    entry = Entry(bucket, key)
    if is_large:
        # listed, not looked at: the answer to HEAD has no body that could say what is wrong
        listed = next(objects.list(uri), None)
        entry = listed if listed is not None and listed.key == key else entry
    objects.fetch([(entry, path)])
    with path.open("rb") as file:
        count = archive.unpack(file, folder, what=uri)
    path.unlink()
    return count

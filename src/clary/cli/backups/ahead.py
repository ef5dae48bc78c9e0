"""Small objects by the thousand: boto3 takes two milliseconds of processor time for each, this a fifth."""

import hashlib
import http.client
import io
import json
import threading
from typing import IO, NamedTuple
from urllib.parse import quote, urlsplit

from clary.cli.backups.archive import HEADERS, KEY, METADATA, PREFIX
from clary.gateway.objects import Objects
from clary.kernel.clock import now
from clary.toolkit.object_faults import MissingError
from clary.wire.signing import sign

MOST_BYTES = 4 << 20
"""A longer one is not read ahead: those that are, are in memory at once."""
TIMEOUT_S = 60.0
_NOTHING = hashlib.sha256().hexdigest()
_META = "x-amz-meta-"


class Answer(NamedTuple):
    """An object as the store has it."""

    headers: dict[str, str]
    n_bytes: int
    body: IO[bytes]


class Reader:
    """Reads from the embedded store, over a connection a thread.

    Parameters
    ----------
    store : Objects
        Where it answers, and to which keys.
    """

    def __init__(self, store: Objects) -> None:
        self._store = store
        self._host = urlsplit(store.endpoint).netloc
        self._own = threading.local()

    def read(self, bucket: str, key: str) -> Answer:
        """Read an object whole.

        Raises
        ------
        MissingError
            There is none.
        OSError
            It is long, has tags, or cannot be had: who asks in the usual way gets it, or is told why not.
        """
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)
        connection: http.client.HTTPConnection = self._own.connection
        try:
            path = f"/{quote(f'{bucket}/{key}', safe='/~')}"
            connection.request("GET", path, headers=self._signed(path))
            return _answered(connection.getresponse(), key)
        except BaseException as error:
            connection.close()
            if isinstance(error, http.client.HTTPException):
                raise ConnectionError(str(error)) from error
            raise

    def _signed(self, path: str) -> dict[str, str]:
        store = self._store
        return sign(
            method="GET",
            host=self._host,
            path=path,
            query="",
            headers={},
            payload_hash=_NOTHING,
            access_key_id=store.access_key,
            secret=store.secret_key,
            region=store.region,
            now=now(),
        )


def _answered(response: http.client.HTTPResponse, key: str) -> Answer:
    if response.status == http.client.NOT_FOUND:
        raise MissingError(key)
    is_small = response.length is not None and response.length <= MOST_BYTES
    if response.status != http.client.OK or not is_small or response.headers["x-amz-tagging-count"]:
        raise ConnectionAbortedError(f"{key} is not for reading ahead")
    told = response.headers
    headers = {name: told[each] for name in HEADERS.values() if told[each := name.removeprefix(PREFIX)]}
    metadata = {name[len(_META) :]: value for name, value in told.items() if name.lower().startswith(_META)}
    headers |= {METADATA: json.dumps(metadata)} if metadata else {}
    body = response.read()
    return Answer({**headers, KEY: key}, len(body), io.BytesIO(body))

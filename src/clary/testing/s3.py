"""An S3 in a thread, for tests of what reads and writes objects: in memory, and able to fail on demand.

It checks no signature and keeps no versions; what stores really answer is tested against the real one.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 1000
Fault = Callable[["_Request"], bool]
"""Called before a request is answered; True when it has answered, or broken off, itself."""


class MemoryS3:
    """Buckets and objects, and the server that shows them."""

    def __init__(self, *buckets: str, port: int = 0) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        """By bucket and key."""
        self.buckets = set(buckets)
        self.denied: set[str] = set()
        """Buckets that answer 403."""
        self.requests: list[tuple[str, str]] = []
        """Method and path of each, in order."""
        self.headers: list[dict[str, str]] = []
        """Of each request."""
        self.faults: list[Fault] = []
        """Taken one for each request, first come first served."""
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.page = PAGE
        served = self
        kind = type("Handler", (_Request,), {"s3": served})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), kind)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def where(self) -> dict[str, Any]:
        """Endpoint and keys, as `Objects` and `RunSpec.objects` want them."""
        return {
            "endpoint": f"http://127.0.0.1:{self.port}",
            "access_key": "AKIATEST",
            "secret_key": "secret",
            "region": "us-east-1",
        }

    def put(self, uri: str, body: bytes) -> None:
        """Store an object under `s3://bucket/key`."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.buckets.add(bucket)
        self.objects[bucket, key] = body

    def get(self, uri: str) -> bytes:
        """Return the object at `s3://bucket/key`."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.objects[bucket, key]

    def keys(self, uri: str) -> list[str]:
        """Return the keys that start with that of `uri`, sorted."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        return sorted(key for b, key in self.objects if b == bucket and key.startswith(prefix))

    def close(self) -> None:
        """Stop answering; the port refuses connections from now on."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def memory_s3(*buckets: str) -> Iterator[MemoryS3]:
    """Run one for the length of a block."""
    s3 = MemoryS3(*buckets)
    try:
        yield s3
    finally:
        s3.close()


def answers(status: int, code: str = "SlowDown") -> Fault:
    """Return a fault that answers with an error."""

    def fault(request: "_Request") -> bool:
        request.fail(status, code, "asked for by the test")
        return True

    return fault


def breaks_after(n_bytes: int) -> Fault:
    """Return a fault that ends the connection in the middle of a body."""

    def fault(request: "_Request") -> bool:
        request.cut_at = n_bytes
        return False

    return fault


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    s3: ClassVar[MemoryS3]
    cut_at: int | None = None

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List or read."""
        self._answer(self._get)

    def do_HEAD(self) -> None:
        """Look at one object."""
        self._answer(self._get)

    def do_PUT(self) -> None:
        """Write an object or a part."""
        self._answer(self._put)

    def do_POST(self) -> None:
        """Begin or end a multipart upload."""
        self._answer(self._post)

    def do_DELETE(self) -> None:
        """Delete an object or an upload."""
        self._answer(self._delete)

    def _answer(self, act: Callable[[], None]) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path.lstrip("/")).partition("/")
        self.bucket, self.key = bucket, key
        self.query = {name: values[0] for name, values in parse_qs(parts.query, True).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.s3.requests.append((self.command, parts.path))
        self.s3.headers.append(dict(self.headers.items()))
        self.cut_at = None
        if self.s3.faults and self.s3.faults.pop(0)(self):
            return
        if bucket in self.s3.denied:
            self.fail(403, "AccessDenied", "Access Denied")
        elif bucket not in self.s3.buckets:
            self.fail(404, "NoSuchBucket", "The specified bucket does not exist")
        else:
            act()

    def _get(self) -> None:
        if not self.key:
            self._list()
            return
        body = self.s3.objects.get((self.bucket, self.key))
        if body is None:
            self.fail(404, "NoSuchKey", "The specified key does not exist.")
            return
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        if self.headers.get("If-Match", etag) != etag:
            self.fail(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")
            return
        status, first = 200, 0
        if asked := self.headers.get("Range"):
            begin, _, end = asked.removeprefix("bytes=").partition("-")
            first = int(begin)
            if first >= len(body):
                self.fail(416, "InvalidRange", "The requested range is not satisfiable")
                return
            whole, status = len(body), 206
            body = body[first : int(end) + 1 if end else None]
            self._send(status, body, {"ETag": etag, "Content-Range": f"bytes {first}-{first}/{whole}"})
            return
        self._send(status, body, {"ETag": etag})

    def _list(self) -> None:
        prefix = self.query.get("prefix", "")
        after = self.query.get("continuation-token", "")
        found = [key for key in self.s3.keys(f"s3://{self.bucket}/{prefix}") if key > after]
        page = found[: self.s3.page]
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.s3.objects[self.bucket, key])}</Size>"
            f"<ETag>&quot;{hashlib.md5(self.s3.objects[self.bucket, key], usedforsecurity=False).hexdigest()}"
            "&quot;</ETag></Contents>"
            for key in page
        )
        is_cut = len(found) > len(page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if is_cut else ""
        text = (
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        )
        self._send(200, text.encode())

    def _put(self) -> None:
        if "uploadId" in self.query:
            self.s3.uploads[self.query["uploadId"]][int(self.query["partNumber"])] = self.body
        else:
            self.s3.objects[self.bucket, self.key] = self.body
        self._send(200, b"", {"ETag": f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'})

    def _post(self) -> None:
        if "uploads" in self.query:
            name = f"upload-{len(self.s3.uploads)}"
            self.s3.uploads[name] = {}
            kind = "InitiateMultipartUploadResult"
            text = f"<{kind}><UploadId>{name}</UploadId></{kind}>"
        else:
            parts = self.s3.uploads.pop(self.query["uploadId"])
            self.s3.objects[self.bucket, self.key] = b"".join(parts[n] for n in sorted(parts))
            text = "<CompleteMultipartUploadResult><ETag>whole</ETag></CompleteMultipartUploadResult>"
        self._send(200, text.encode())

    def _delete(self) -> None:
        if "uploadId" in self.query:
            self.s3.uploads.pop(self.query["uploadId"], None)
        else:
            self.s3.objects.pop((self.bucket, self.key), None)
        self._send(204, b"")

    def fail(self, status: int, code: str, message: str) -> None:
        """Answer with an error document."""
        text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        self._send(status, text.encode())

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.cut_at is not None and self.cut_at < len(body):
            self.wfile.write(body[: self.cut_at])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(body)

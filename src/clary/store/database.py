"""The store: one SQLite file, or PostgreSQL by URL, behind the same two methods.

    read(fn, …)    fn(conn, …) in the calling thread, on one snapshot
    write(fn, …)   fn(conn, …) all or nothing, durable on return

Functions of this floor take the connection first: `store.write(records.insert, record)`.
"""

import math
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, NoSuchModuleError, SQLAlchemyError

from clary.kernel.errors import SetupError
from clary.store import dialect, documents, faults, functions, keyfile, migrations
from clary.store.base import Closed, is_one_statement
from clary.store.identities import CIPHER
from clary.store.nodes import OWN
from clary.store.schema import credential, setting
from clary.store.writer import Writer

BUSY_MS = 10_000
"""How long SQLite waits for another process's write."""
READERS = 64
"""Reader connections at most; a reader waits for a free one."""
REST_S = 1.0
"""A connection to PostgreSQL that was not used for so long is asked before it is used again."""
_USED = "clary.used"
_RETRIED = frozenset({"40001", "40P01"})
"""PostgreSQL's codes of a transaction that lost against another and may simply run again."""

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """A database with Clary's tables; safe from any thread.

    Promises
    --------
    - `write` returns after the unit is durable; an exception undoes that unit alone and reaches its caller.
    - Units of SQLite run one at a time, in one thread, in the order they came; of PostgreSQL side by side.
    - A unit may run again when PostgreSQL breaks a deadlock: it must act on nothing but its connection.
    - A fault of the database is `InternalFailure` with one line that says which; the store lives on.
    - Several processes may open one SQLite file; `close` may be called twice, or never.
    """

    def __init__(
        self, readers: sa.Engine, writer: Writer | None, where: str, *, scratch: Path | None = None
    ) -> None:
        self._readers = readers
        is_server = readers.dialect.name == "postgresql"
        self._singles = readers.execution_options(isolation_level="AUTOCOMMIT") if is_server else readers
        self._writer = writer
        self._where = where
        self._scratch = scratch
        self._is_closed = False

    @classmethod
    def open(cls, url: str, key_path: str | Path | None = None, *, node: str = "") -> "Store":
        """Open a store, and bring its tables to this version.

        Parameters
        ----------
        url : str
            `sqlite:////path/clary.db`, `postgresql://…`, or `sqlite://` for a store that is gone when closed.
        key_path : path or None
            File of the key that encrypts secrets, made when missing. By default `<file>.key` beside an SQLite
            file; a PostgreSQL store without one refuses secrets.
        node : str
            Id of this control plane's node, where several share a PostgreSQL.

        Raises
        ------
        SetupError
            The database cannot be reached, read or written, or is newer than this version; or the key is not
            its own.
        """
        try:
            address = sa.make_url(url)
        except ArgumentError:
            raise SetupError(f"CLARY_STORE_URL {url!r} is not a database URL") from None
        if address.get_backend_name() == "sqlite":
            return _open_sqlite(cls, address, Path(key_path) if key_path else None)
        if address.get_backend_name() == "postgresql":
            return _open_postgresql(cls, address, Path(key_path) if key_path else None, node)
        raise SetupError(f"CLARY_STORE_URL {url!r}: use sqlite:///… or postgresql://…")

    def go_back(self, version: str) -> None:
        """Take the tables back to an older release's `version`, all or nothing, and close.

        Raises
        ------
        SetupError
            There is no such version.
        """
        try:
            self.write(migrations.downgrade, version)
        finally:
            self.close()

    @property
    def backend(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._readers.dialect.name

    def read(self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(conn, …)` on one snapshot and return what it returned.

        Raises
        ------
        InternalFailure
            The database failed.
        """
        if self._is_closed:
            raise Closed(f"the store {self._where} is closed")
        is_single = is_one_statement(fn)
        try:
            with (self._singles if is_single else self._readers).connect() as conn:
                if self._writer is None and not is_single:  # SQLite's readers refuse writes by a pragma
                    conn.execution_options(postgresql_readonly=True)
                return fn(conn, *args, **kwargs)
        except SQLAlchemyError as fault:
            raise faults.as_failure(fault, self._where) from fault

    def write(self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(conn, …)` all or nothing; return what it returned once that is durable.

        Raises
        ------
        InternalFailure
            The database failed: a full disk, a lost server.
        """
        if self._is_closed:
            raise Closed(f"the store {self._where} is closed")
        if self._writer is not None:
            result: T = self._writer.submit(fn, *args, **kwargs)
            return result
        return self._write_alone(fn, *args, **kwargs)

    def close(self) -> None:
        """Finish what was asked for, and let go of the database."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._writer is not None:
            self._writer.close()
        self._readers.dispose()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _write_alone(
        self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        for _attempt in range(4):
            try:
                with _transaction(self._readers) as conn:
                    return fn(conn, *args, **kwargs)
            except SQLAlchemyError as fault:
                if getattr(getattr(fault, "orig", None), "sqlstate", None) not in _RETRIED:
                    raise faults.as_failure(fault, self._where) from fault
                last = fault
        raise faults.as_failure(last, self._where) from last


def _open_sqlite(cls: type[Store], address: sa.URL, key_path: Path | None) -> Store:
    scratch = None
    if address.database in {None, "", ":memory:"}:
        # A private folder, not SQLite's memory mode: readers beside a writer then behave as in a real file.
        scratch = Path(tempfile.mkdtemp(prefix="clary-store-"))
        address = address.set(database=str(scratch / "clary.db"))
    path = Path(str(address.database))
    where = str(path)
    engines: list[sa.Engine] = []
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        pragmas = {"synchronous": "OFF" if scratch else "FULL"}
        engines += [
            _sqlite_engine(address, "BEGIN IMMEDIATE", {"cache_size": -65_536, **pragmas}, size=1),
            _sqlite_engine(address, "BEGIN", {"query_only": 1, "mmap_size": 2**30}, size=READERS),
        ]
        writing, readers = engines
        _use_wal(path)
        _prepare(readers, writing)
        cipher = _cipher_of(readers, writing, key_path or path.with_name(f"{path.name}.key"))
    except (SQLAlchemyError, sqlite3.Error, OSError) as fault:
        _discard(engines, scratch)
        raise faults.as_setup(fault, where) from fault
    except SetupError:
        _discard(engines, scratch)
        raise
    for engine in engines:
        _carry(engine, cipher)
    return cls(readers, Writer(writing, where), where, scratch=scratch)


def _use_wal(path: Path) -> None:
    """Let readers and the writer work side by side; the file remembers it."""
    driver = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000)
    try:
        (mode,) = driver.execute("PRAGMA journal_mode = WAL").fetchone()
    finally:
        driver.close()
    if mode != "wal":
        raise SetupError(
            f"the store {path} is on a file system without shared memory: put it on a local disk"
        )


def _sqlite_engine(address: sa.URL, begin: str, pragmas: dict[str, Any], *, size: int) -> sa.Engine:
    engine = sa.create_engine(
        address.set(drivername="sqlite+pysqlite"),
        json_serializer=documents.dumps,
        json_deserializer=documents.loads,
        pool_size=size,
        max_overflow=0,
        pool_use_lifo=True,  # a few warm page caches rather than many cold ones
        connect_args={"isolation_level": None, "check_same_thread": False, "cached_statements": 256},
    )

    engine.dialect.statement_compiler = dialect.HintingCompiler

    @sa.event.listens_for(engine, "connect")
    def _set_up(driver: sqlite3.Connection, _entry: Any) -> None:
        driver.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        driver.execute("PRAGMA journal_size_limit = 67108864")
        for name, value in pragmas.items():
            driver.execute(f"PRAGMA {name} = {value}")
        functions.register(driver)

    @sa.event.listens_for(engine, "begin")
    def _begin(conn: sa.Connection) -> None:
        conn.exec_driver_sql(begin)

    return engine


def postgresql_engine(address: sa.URL, **options: Any) -> sa.Engine:
    """Return an engine of a PostgreSQL; nothing is asked of it yet."""
    # By name: a database without an encoding (SQL_ASCII) has the driver give texts as bytes.
    driven = address.set(drivername="postgresql+psycopg")
    return sa.create_engine(driven, connect_args={"client_encoding": "utf8"}, **options)


def check_encoding(conn: sa.Connection) -> None:
    """Refuse a database that cannot hold every name, log line and document.

    Raises
    ------
    SetupError
        Its encoding is another than UTF8.
    """
    encoding = conn.execute(sa.text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        name = conn.engine.url.database
        raise SetupError(
            f"the database {name} has the encoding {encoding}, and Clary needs UTF8; "
            f"make one: createdb --encoding UTF8 --template template0 {name}"
        )


def _open_postgresql(cls: type[Store], address: sa.URL, key_path: Path | None, node: str) -> Store:
    where = address.set(drivername="postgresql").render_as_string(hide_password=True)
    try:
        engine = postgresql_engine(
            address,
            json_serializer=documents.dumps,
            json_deserializer=documents.loads,
            isolation_level="REPEATABLE READ",
            pool_size=16,
            max_overflow=READERS - 16,
        )
    except (ImportError, NoSuchModuleError):
        raise SetupError("PostgreSQL needs its driver: pip install 'clary[postgres]'") from None
    _look_after_rest(engine)
    try:
        with engine.connect() as conn:
            check_encoding(conn)
        _prepare(engine, engine)
        cipher = _cipher_of(engine, engine, key_path) if key_path else None
    except (SQLAlchemyError, OSError) as fault:
        engine.dispose()
        raise faults.as_setup(fault, where) from fault
    except SetupError:
        engine.dispose()
        raise
    _carry(engine, cipher, node)
    return cls(engine, None, where)


def _look_after_rest(engine: sa.Engine) -> None:
    """Ask a connection that rested whether its server is still there; one in use is told by what fails."""

    @sa.event.listens_for(engine, "reset")
    def _note(_driver: Any, entry: Any, _state: Any) -> None:
        entry.info[_USED] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def _look(driver: Any, entry: Any, _proxy: Any) -> None:
        if time.monotonic() - entry.info.get(_USED, math.inf) < REST_S:
            return
        try:
            engine.dialect.do_ping(driver)
        except Exception as fault:
            raise DisconnectionError(str(fault)) from fault


def _prepare(reading: sa.Engine, writing: sa.Engine) -> None:
    """Bring the tables to this version; where they are, take no lock."""
    try:
        with reading.connect() as conn:
            if migrations.current(conn) == migrations.HEAD:
                return
    except DBAPIError:  # no table of versions yet
        pass
    with _transaction(writing) as conn:
        migrations.upgrade(conn)


def _transaction(engine: sa.Engine) -> AbstractContextManager[sa.Connection]:
    """Begin a transaction that sees what others committed meanwhile."""
    if engine.dialect.name != "sqlite":
        engine = engine.execution_options(isolation_level="READ COMMITTED")
    return engine.begin()


def _cipher_of(reading: sa.Engine, writing: sa.Engine, path: Path) -> Fernet:
    """Read or make the key, and make sure that it is the one this store was made with."""
    with reading.connect() as conn:
        proof = conn.execute(sa.select(setting.c.value).where(setting.c.name == "key_proof")).scalar()
        has_secrets = conn.execute(sa.select(credential.c.access_key_id).limit(1)).first() is not None
    cipher = keyfile.load(path, may_create=not has_secrets)
    if proof is not None and keyfile.is_proven(cipher, proof):
        return cipher
    if has_secrets:
        raise SetupError(f"the key file {path} is not the one this store's secrets were encrypted with")
    with _transaction(writing) as conn:
        conn.execute(sa.delete(setting).where(setting.c.name == "key_proof"))
        conn.execute(sa.insert(setting).values(name="key_proof", value=keyfile.prove(cipher)))
    return cipher


def _carry(engine: sa.Engine, cipher: Fernet | None, node: str = "") -> None:
    """Leave cipher and node where `identities` and `work` find them: in the info of every connection."""
    engine.dispose()  # connections that were made without it

    @sa.event.listens_for(engine, "connect")
    def _lend(_driver: Any, entry: Any) -> None:
        entry.info[CIPHER] = cipher
        entry.info[OWN] = node


def _discard(engines: list[sa.Engine], scratch: Path | None) -> None:
    for engine in engines:
        engine.dispose()
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)

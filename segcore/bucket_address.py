"""Addresses of folders in buckets, as people write them: which there are, and what in one is refused.

An address never holds a secret: each machine's own environment, files or role say who it is. What is read and written
there lives in `bucket`.
"""

import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from segcore.errors import ConfigError

SCHEMES: Final = {"s3": "s3://BUCKET/FOLDER", "gs": "gs://BUCKET/FOLDER", "abfs": "abfs://CONTAINER@HOST/FOLDER"}
"""What an address may begin with, and its form."""
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
"""Not `://`: a path takes two slashes for one."""
_QUERY: Final = {
    "s3": {"region", "scheme", "endpoint_override"},
    "gs": {"scheme", "endpoint_override", "project_id"},
    "abfs": {"blob_storage_authority", "dfs_storage_authority", "enable_tls"},
}
"""What may follow the question mark; nothing that proves who one is."""


def is_address(text: str | Path) -> bool:
    """Say whether a text is an address, such as s3://bucket/folder, also where a path took two slashes for one."""
    return _ADDRESS.match(str(text)) is not None


def split_address(option: str, text: str) -> tuple[str, str]:
    """Return the address of a bucket's folder, without a slash at its end, and what follows its question mark.

    Args:
        option: that gives it; its name, without dashes.
        text: an address.

    Raises:
        ConfigError: when it is no address of a bucket, or holds a secret.
    """
    base, _, query = text.partition("?")
    scheme, slashes, rest = base.partition("://")
    scheme = scheme.lower()
    if not slashes or scheme not in SCHEMES:
        raise ConfigError(
            f"--{option} {scheme.partition(':')[0]}://...: use {', '.join(SCHEMES.values())}, or a folder of this "
            f"machine; there is no other kind of address for --{option}."
        )
    _refuse_secrets(option, scheme, rest, query)
    if not rest.strip("/"):
        raise ConfigError(f"--{option} {text}: it names no bucket; use {SCHEMES[scheme]}.")
    return f"{scheme}://{rest.rstrip('/')}", query


def _refuse_secrets(option: str, scheme: str, rest: str, query: str) -> None:
    # Not the first part alone: a key may hold a slash.
    host = rest.partition("/")[0]
    is_in_query = any("@" in value for _, value in parse_qsl(query))
    if ("@" in host and scheme == "s3") or (":" in host.partition("@")[0] and "@" in rest) or is_in_query:
        raise ConfigError(
            f"--{option} {scheme}://...@...: an address must not hold user or password, since it is kept and shown; "
            "leave them to the environment or the files of each machine, such as AWS_ACCESS_KEY_ID and ~/.aws."
        )
    unknown = [name for name, _ in parse_qsl(query, keep_blank_values=True) if name not in _QUERY[scheme]]
    if unknown:
        raise ConfigError(
            f"--{option} {scheme}://...?{unknown[0]}=...: after the question mark may stand "
            f"{', '.join(sorted(_QUERY[scheme]))}; secrets belong into the environment of each machine."
        )

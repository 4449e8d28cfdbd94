"""
Which bucket an address names: S3, Azure Blob (ADLS Gen2 too) or Google Cloud Storage, and which folder of it.

Azure calls a bucket a container and its names differ: `az://container/folder` needs the account besides,
`abfss://container@account.dfs.core.windows.net/folder` and the portal's `https://…` say it themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from pipeline.errors import SettingsError

S3, AZURE, GOOGLE = "S3", "Azure", "Google"

_SCHEMES = {"s3": S3, "s3a": S3, "gs": GOOGLE} | dict.fromkeys(("az", "azure", "adl", "abfs", "abfss", "https"), AZURE)
_NAME = re.compile(r"\$?[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_AZURE_HOST = re.compile(r"(?P<account>[a-z0-9-]+)\.(?:blob|dfs)\.(?P<cloud>[a-z0-9.-]+)", re.IGNORECASE)
_EXPECTED = (
    "write it like s3://bucket/folder, az://container/folder, "
    "abfss://container@account.dfs.core.windows.net/folder or gs://bucket/folder"
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """
    A bucket and the folder of it that is read; `base` begins the address of each object as it is shown.

    `account` and `endpoint` are known where the address says them, as Azure's may.
    """

    cloud: str
    name: str
    folder: str
    base: str
    account: str | None = None
    endpoint: str | None = None

    def __str__(self) -> str:
        return f"{self.base}/{self.folder}" if self.folder else self.base

    def origin(self, key: str) -> str:
        """Return the address of the object `key`."""
        return f"{self.base}/{key}"


def bucket_of(url: str) -> Bucket:
    """Return the bucket that `url` names; raise SettingsError when it names none. It may hold a secret: never shown."""
    try:
        parts = urlsplit(url)
        host, scheme = parts.netloc, parts.scheme.lower()
    except ValueError:
        raise SettingsError(f"'url' is no address; {_EXPECTED}") from None
    cloud = _SCHEMES.get(scheme)
    if cloud is None:
        raise SettingsError(f"'url' names no storage that we know; {_EXPECTED}")
    if "?" in url or "#" in url:
        raise SettingsError("'url' should end with the folder; a SAS token goes into sas_token = { file = \"…\" }")
    if scheme == "https":
        return _with_folder(_of_portal(parts), unquote(parts.path).strip("/").partition("/")[2])
    name, at, azure_host = host.partition("@")
    if at and cloud != AZURE:
        raise SettingsError("'url' should hold no log-in; give access_key_id and secret_access_key instead")
    if not _NAME.fullmatch(name):
        raise SettingsError(f"'url' names no bucket; {_EXPECTED}")
    account, endpoint = _account_of(azure_host) if at else (None, None)
    return _with_folder(Bucket(cloud, name, "", f"{scheme}://{host}", account, endpoint), parts.path)


def is_key(key: str) -> bool:
    """Return whether an object of this name can be asked for: no empty part, no `.` or `..`, no control character."""
    parts = key.split("/")
    return not any(part in {"", ".", ".."} for part in parts) and not any(is_control(each) for each in key)


def is_control(character: str) -> bool:
    """Return whether `character` is one of ASCII's control characters."""
    return character < " " or character == "\x7f"


def _of_portal(parts: SplitResult) -> Bucket:
    account, endpoint = _account_of(parts.netloc)
    name = unquote(parts.path).strip("/").partition("/")[0]
    if not _NAME.fullmatch(name):
        raise SettingsError("'url' names no container: https://account.blob.core.windows.net/container/folder")
    return Bucket(AZURE, name, "", f"https://{parts.netloc}/{name}", account, endpoint)


def _account_of(host: str) -> tuple[str, str]:
    """Return account and endpoint; ADLS' own endpoint (`dfs`) serves another interface to the same objects."""
    match = _AZURE_HOST.fullmatch(host)
    if match is None:
        raise SettingsError("'url' should name an Azure storage account, such as account.blob.core.windows.net")
    return match["account"], f"https://{match['account']}.blob.{match['cloud']}"


def _with_folder(bucket: Bucket, path: str) -> Bucket:
    folder = path.strip("/")
    if folder and not is_key(folder):
        raise SettingsError("'url' has a folder with an empty part, '.', '..' or a control character in its name")
    return Bucket(bucket.cloud, bucket.name, folder, bucket.base, bucket.account, bucket.endpoint)

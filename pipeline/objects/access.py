"""
How to log in at a storage: keys of our own, or what the platform gives (instance role, workload identity, environment).

Secrets are revealed when a pull begins and kept nowhere. The library would mix what the settings name with what happens
to stand in the environment: so S3's keys are handed over by a function, and Azure's kind of log-in is named.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from pipeline.errors import Place, SettingsError
from pipeline.objects.bucket import AZURE, GOOGLE, S3, Bucket, bucket_of
from pipeline.secret import Secret

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

Store = AzureStore | GCSStore | S3Store

_PRIVATE_NAMES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".test")
_OF_CLOUD = {
    S3: ("region", "access_key_id", "secret_access_key", "session_token"),
    AZURE: ("account", "account_key", "sas_token", "tenant_id", "client_id", "client_secret"),
    GOOGLE: ("service_account_key",),
}
_AZURE_WAYS = {"account_key": "access_key", "sas_token": "sas_token", "client_secret": "client_secret"}
_RETRY: RetryConfig = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=4), "base": 2},
}
"""Short, because the next pull tries again, and because a stop of the service has to wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """
    Where the objects are, and how to log in there.

    Without any key the platform's own identity is taken. `endpoint` is another address than the cloud's, such as that
    of MinIO, whose `ca_file` may be one's own.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    account: str | None = None
    account_key: Secret | None = None
    sas_token: Secret | None = None
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    service_account_key: Secret | None = None
    ca_file: Path | None = None


def check(access: Access) -> list[str]:
    """Return what is wrong with `access`, as sentences; nothing is asked."""
    complaints: list[str] = []
    try:
        complaints += _complaints_of(access, bucket_of(access.url))
    except SettingsError as error:
        complaints.append(error.sentence)
    if access.endpoint is not None and not _is_safe(access.endpoint):
        complaints.append(
            "'endpoint' should begin with https://; plain http is for this machine and private addresses only"
        )
    return complaints


def opened(access: Access) -> Store:
    """Return the bucket, ready to be asked; raise SettingsError when the settings for it cannot be used."""
    bucket = bucket_of(access.url)
    try:
        match bucket.cloud:
            case "S3":
                return _s3(access, bucket)
            case "Azure":
                return _azure(access, bucket)
            case _:
                return _google(access, bucket)
    # Not chained, and its words are not shown: they may quote a key.
    except (BaseError, ValueError):
        sentence = (
            "the keys or the endpoint in the settings are of no form that the storage knows; compare them with it"
        )
        raise SettingsError(sentence, place=Place(str(bucket))) from None


def _s3(access: Access, bucket: Bucket) -> S3Store:
    config: dict[str, Any] = _given(region=access.region, endpoint=access.endpoint)
    if access.secret_access_key is None:
        return S3Store(bucket.name, config=config, client_options=_client(access), retry_config=_RETRY)  # type: ignore[arg-type]
    keys: Any = {
        "access_key_id": _text(access.access_key_id),
        "secret_access_key": access.secret_access_key.reveal(),
        "token": _text(access.session_token),
        "expires_at": None,
    }
    return S3Store(
        bucket.name,
        config=config,  # type: ignore[arg-type]
        client_options=_client(access),
        retry_config=_RETRY,
        credential_provider=lambda: keys,
    )


def _azure(access: Access, bucket: Bucket) -> AzureStore:
    sas = _text(access.sas_token)
    config: dict[str, Any] = _given(
        account_name=bucket.account or access.account,
        endpoint=access.endpoint or bucket.endpoint,
        account_key=_text(access.account_key),
        sas_key=sas.strip().lstrip("?") if sas else None,
        tenant_id=access.tenant_id,
        client_id=access.client_id,
        client_secret=_text(access.client_secret),
        credential_type=next((name for key, name in _AZURE_WAYS.items() if getattr(access, key) is not None), None),
    )
    return AzureStore(bucket.name, config=config, client_options=_client(access), retry_config=_RETRY)  # type: ignore[arg-type]


def _google(access: Access, bucket: Bucket) -> GCSStore:
    config: dict[str, Any] = _given(service_account_key=_text(access.service_account_key), base_url=access.endpoint)
    return GCSStore(bucket.name, config=config, client_options=_client(access), retry_config=_RETRY)  # type: ignore[arg-type]


def _client(access: Access) -> ClientConfig:
    # The library limits a request as a whole, 30 s unless told, which no large object would be through with.
    client: ClientConfig = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "6h", "user_agent": "authsunset"}
    client["allow_http"] = access.endpoint is not None and access.endpoint.lower().startswith("http://")
    if access.ca_file is not None:
        try:
            client["root_certificate"] = access.ca_file.read_bytes()
        except OSError as error:
            raise SettingsError(f"'ca_file' cannot be read: {error.strerror}", place=Place(access.ca_file)) from error
    return client


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}


def _text(value: str | Secret | None) -> str | None:
    return value.reveal() if isinstance(value, Secret) else value


def _complaints_of(access: Access, bucket: Bucket) -> Iterator[str]:
    for cloud, names in _OF_CLOUD.items():
        for name in names:
            if cloud != bucket.cloud and getattr(access, name) is not None:
                yield f"{name!r} is for {cloud}, and 'url' names a bucket of {bucket.cloud}; take one of them out"
    if bucket.cloud == AZURE and not (bucket.account or access.account):
        yield "lacks the key 'account', the name of the storage account"
    if bucket.account and access.account not in {None, bucket.account}:
        yield f"'account' is not the account that 'url' names, {bucket.account!r}; take it out"
    for name, other in (
        ("access_key_id", "secret_access_key"),
        ("secret_access_key", "access_key_id"),
        ("session_token", "secret_access_key"),
        ("client_secret", "client_id"),
        ("client_secret", "tenant_id"),
    ):
        if getattr(access, name) is not None and getattr(access, other) is None:
            yield f"{name!r} needs {other!r} beside it"
    ways = [name for name in _AZURE_WAYS if getattr(access, name) is not None]
    if len(ways) > 1:
        yield f"give one of {' and '.join(map(repr, ways))}, not both"


def _is_safe(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint)
        host = (parts.hostname or "").lower()
    except ValueError:
        return False
    if not host or parts.username or parts.query:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_private(host))


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_NAMES)  # a container's name has no dot
    return address.is_loopback or address.is_private

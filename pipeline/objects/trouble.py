"""
What a storage's refusals mean, and what to do about each.

The library tells them as text with the answer quoted in it, so codes are looked for there: they stand in XML, as S3,
Azure and Google write it. The text itself is never shown, because it holds addresses that may be signed, and names of
objects are taken out of it before it is looked at, because a stranger may have chosen them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from obstore.exceptions import BaseError

from pipeline.errors import Place, SourceError
from pipeline.objects.bucket import Bucket


@dataclass(eq=False)
class ObjectError(SourceError):
    """One object cannot be read; others may."""


@dataclass(eq=False)
class NotThereError(ObjectError):
    """The object is not there, or not under a name that can be asked for."""


@dataclass(eq=False)
class RefusedError(ObjectError):
    """The object may not be read with this log-in."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What an answer with one of the `codes`, or with words of the `pattern`, means and what to do."""

    sentence: str
    codes: str = ""
    pattern: str | None = None
    error: type[SourceError] = SourceError
    retry: bool = False

    def applies(self, codes: set[str], words: str) -> bool:
        if codes & set(self.codes.split()):
            return True
        return self.pattern is not None and re.search(self.pattern, words, re.IGNORECASE) is not None


_NO_BUCKET = "there is no such bucket at this storage; compare its name, the account and the endpoint in the settings"

_MEANINGS = (
    _Meaning(
        "this machine's clock is wrong by minutes, so its signatures are refused; set it with NTP",
        "RequestTimeTooSkewed RequestExpired",
        r"Request date header too old|\biat and exp\b",
    ),
    _Meaning(
        "the SAS token has expired or is not valid yet; make a new one that may read and list",
        pattern="not valid in the specified time frame|Signed expiry time",
    ),
    _Meaning(
        "the session token has expired; give a new one, or let the platform's own identity do it",
        "ExpiredToken ExpiredTokenException TokenRefreshRequired",
    ),
    _Meaning(_NO_BUCKET, "NoSuchBucket ContainerNotFound InvalidBucketName ContainerBeingDeleted"),
    _Meaning(
        "the bucket lies in another region; {region}",
        "PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException IncorrectEndpoint",
        "BareRedirect|incorrectly configured region",
    ),
    _Meaning(
        "it lies in an archive and cannot be read from there; restore it, or leave it out with 'pattern'",
        "InvalidObjectState BlobArchived BlobBeingRehydrated",
        error=ObjectError,
    ),
    _Meaning(
        "it is encrypted with a key that we may not use; grant kms:Decrypt on that key",
        pattern=r"<Code>\s*KMS|kms:Decrypt",
        error=RefusedError,
    ),
    _Meaning(
        "the storage does not know the access key; see that it is active and belongs to this storage",
        "InvalidAccessKeyId UnrecognizedClientException InvalidClientTokenId InvalidToken",
    ),
    _Meaning(
        "the secret does not belong to the access key or the account; put the right one where the settings say",
        "SignatureDoesNotMatch",
        "Signature did not match|MAC signature found in the HTTP request",
    ),
    _Meaning(
        "Entra ID refuses the log-in of the application; compare tenant_id, client_id and client_secret, which may "
        "have expired",
        pattern="AADSTS[0-9]|invalid_client|unauthorized_client",
    ),
    _Meaning(
        "the storage asks for fewer requests; it goes on at the next pull. If it stays so, set a longer 'every'",
        "SlowDown TooManyRequests Throttling ThrottlingException RequestLimitExceeded ServerBusy",
        r"status: 429\b",
        retry=True,
    ),
    _Meaning(
        "the storage's firewall or rules refuse this machine's address or this kind of log-in; see Networking in the "
        "portal, and whether a SAS token has expired",
        "AuthorizationFailure AuthorizationSourceIPMismatch PublicAccessNotPermitted",
    ),
    _Meaning(
        "this account takes no account keys; give tenant_id, client_id and client_secret, or the platform's identity",
        "KeyBasedAuthenticationNotPermitted",
    ),
    _Meaning("the account is disabled; ask its owner", "AccountIsDisabled AllAccessDisabled"),
    _Meaning(
        "there is no log-in: the settings name no keys, and this machine has no identity of the cloud; give the keys "
        "that docs/sources.md lists",
        pattern=r"169\.254\.169\.254|metadata\.google\.internal|no credentials",
    ),
    _Meaning(
        "the log-in may not read here; grant listing and reading: s3:ListBucket and s3:GetObject, on Azure the role "
        "Storage Blob Data Reader, on Google the role Storage Object Viewer",
        "AccessDenied AuthorizationPermissionMismatch AuthorizationServiceMismatch AuthorizationResourceTypeMismatch "
        "InsufficientAccountPermissions",
        r"status: 403\b|\APermissionDenied",
        error=RefusedError,
    ),
    _Meaning(
        "the log-in was not accepted; see that keys or identity belong to this storage",
        "AuthenticationFailed NoAuthenticationInformation InvalidAuthenticationInfo",
        r"status: 401\b|\AUnauthenticated",
    ),
    _Meaning(
        "it is listed, but there is nothing under that name: it was deleted meanwhile, or its name begins or ends with "
        "a slash, which cannot be asked for; rename it then",
        "NoSuchKey BlobNotFound ResourceNotFound",
        r"status: 404\b|\AFileNotFound",
        error=NotThereError,
    ),
    _Meaning(
        "the storage is out of order; it goes on at the next pull",
        "InternalError ServiceUnavailable OperationTimedOut",
        r"status: 5\d\d\b",
        retry=True,
    ),
    _Meaning(
        "the storage's address cannot be resolved; compare bucket, account, region and endpoint in the settings, and "
        "see this machine's DNS",
        pattern="dns error|failed to lookup",
        retry=True,
    ),
    _Meaning(
        "the storage's certificate is not trusted here; put the certificate of the authority that signed it into "
        "'ca_file', and compare the endpoint's name and this machine's clock",
        pattern="peer certificate|UnknownIssuer|InvalidCertificate",
    ),
    _Meaning("the endpoint begins with http://; use https://", pattern="URL scheme is not allowed|BadScheme"),
    _Meaning(
        "the storage did not answer in time; it goes on at the next pull", pattern="TimedOut|timed out", retry=True
    ),
    _Meaning(
        "there is no answer at the storage's address; see that it runs, and that this machine reaches it",
        pattern="kind: Connect|ConnectionRefused|ConnectionReset|HostUnreachable|NetworkUnreachable",
        retry=True,
    ),
    _Meaning(
        "the connection broke off; it goes on at the next pull",
        pattern="kind: (?:Body|Decode|Request|Interrupted)|IncompleteMessage|UnexpectedEof",
        retry=True,
    ),
)

_REGION = re.compile(
    r"<Region>\s*([a-z0-9-]{2,40})\s*</Region>|expecting\W{1,8}([a-z]{2,4}-[a-z0-9-]{2,40})"
    r"|<Endpoint>[^<]{0,80}?\bs3[.-]([a-z]{2,4}-[a-z0-9-]{2,40})\.amazonaws",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\bstatus: (\d{3})\b")
_CODE = re.compile(r"<Code>\s*(\w{1,64})\s*</Code>")
_CHOSEN_BY_STRANGERS = re.compile(
    r'\bpath: "(?:[^"\\]|\\.)*"|https?://(?!169\.254\.|metadata\.)\S*|<(Key|Resource|HostId|RequestId)>.*?</\1>',
    re.DOTALL,
)


@contextmanager
def told(bucket: Bucket, key: str | None = None, *, passing: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """Raise what the library raises as a SourceError; about an object that alone is in trouble, as an ObjectError."""
    try:
        yield
    except passing:
        raise
    # Not chained: the text of these errors holds addresses, which may be signed.
    except (BaseError, FileNotFoundError, PermissionError, ValueError) as error:
        raise error_of(error, bucket, key) from None


def error_of(error: Exception, bucket: Bucket, key: str | None) -> SourceError:
    """Return what `error` means; without a `key` it is about the bucket as a whole."""
    words = f"{type(error).__name__} {_CHOSEN_BY_STRANGERS.sub('', str(error).rpartition('Debug source:')[2])}"
    codes = {*_CODE.findall(words)}
    meaning = next((each for each in _MEANINGS if each.applies(codes, words)), None)
    said = _said(words)
    if meaning is None:
        sentence = f"the storage's answer is not known{said}; it is asked again at the next pull"
        return SourceError(sentence, place=Place(str(bucket)), retry=True)
    if key is not None and issubclass(meaning.error, ObjectError):
        return meaning.error(meaning.sentence + said, place=Place(bucket.origin(key)))
    sentence = _NO_BUCKET if meaning.error is NotThereError else meaning.sentence.format(region=_region_in(words))
    return SourceError(sentence + said, place=Place(str(bucket)), retry=meaning.retry)


def _said(words: str) -> str:
    status, code = _STATUS.search(words), _CODE.search(words)
    answer = " ".join(match[1] for match in (status, code) if match)
    return f" (the answer was {answer})" if answer else ""


def _region_in(words: str) -> str:
    match = _REGION.search(words)
    right = next((group for group in match.groups() if group), None) if match else None
    return f'set region = "{right}"' if right else "set 'region' to its own"

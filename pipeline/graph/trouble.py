"""
What Microsoft's refusals mean, and what to do about each.

Microsoft says the same thing in several ways, and different things in the same way: a message trace answers 401 while
the service principal of its backend is missing, which has nothing to do with our log-in. So the words are looked at
first, then the code, then the status. The words used here were seen in public reports of these errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import SourceError

TRACE_BACKEND = "8bd644d1-64a1-4d4b-ae52-2e0cbf64e373"
"""Microsoft's own application behind message traces, which needs a service principal in each tenant."""

MAKE_PRINCIPAL = f"New-MgServicePrincipal -AppId {TRACE_BACKEND}"

LONGEST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Refusal:
    """What Graph answered instead of data; `words` are Microsoft's own, cut short."""

    status: int
    code: str = ""
    words: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, status: int, body: bytes, request_id: str = "") -> Refusal:
        """Read the error that `body` describes, in Graph's shape or Entra's, or in none."""
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        error = found.get("error") if isinstance(found, dict) else None
        if isinstance(error, dict):
            return cls(status, _short(error.get("code")), _short(error.get("message")), _short(request_id))
        if isinstance(found, dict):
            return cls(status, _short(error), _short(found.get("error_description")), _short(request_id))
        return cls(status, request_id=_short(request_id))


@dataclass(eq=False)
class RefusedError(SourceError):
    """Graph refused a request for good; trying the same again does not help."""

    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What is meant when `applies`, what to do, and a short name for it."""

    name: str
    applies: Callable[[Refusal], bool]
    sentence: str


def _says(pattern: str) -> Callable[[Refusal], bool]:
    found = re.compile(pattern, re.IGNORECASE)
    return lambda refusal: found.search(f"{refusal.code} {refusal.words}") is not None


def _is(status: int) -> Callable[[Refusal], bool]:
    return lambda refusal: refusal.status == status


_MEANINGS = (
    _Meaning(
        "service_principal",
        _says(f"{TRACE_BACKEND}|service principal-less authentication"),
        "this tenant has no service principal yet for the Microsoft application behind message traces; make it with "
        f"`{MAKE_PRINCIPAL}` (needs Application.ReadWrite.All), then wait: it may take hours, up to a day, to count",
    ),
    _Meaning(
        "licence",
        _says("NonPremiumTenant|premium license|Premium P1|license for this tenant"),
        "the sign-in log of this tenant needs an Entra ID P1 or P2 licence; without one, remove this source and use "
        "the SMTP AUTH clients report",
    ),
    _Meaning(
        "expired_link",
        _says("skip ?token|continuation token|delta ?token|SyncStateNotFound|resyncRequired"),
        "the link to the next page has expired; the span is asked again",
    ),
    _Meaning(
        "future",
        _says("in the future|later than (the )?current|greater than (the )?current"),
        "the end of the span lies in Microsoft's future; this machine's clock is ahead, so set it with NTP",
    ),
    _Meaning(
        "history",
        _says("90 days|older than|too (far|old) in the past|retention"),
        "the span begins before what Microsoft keeps",
    ),
    _Meaning(
        "secret",
        _says("AADSTS7000215|AADSTS7000222|AADSTS700027|AADSTS700024|AADSTS700213"),
        "the application's secret or certificate is wrong or has expired; renew it in Entra ID under App registrations "
        "and put the new one where the settings say",
    ),
    _Meaning(
        "application",
        _says("AADSTS700016|AADSTS90002|AADSTS900023|unauthorized_client"),
        "Entra ID does not know this application in this tenant; compare tenant and client in [microsoft] with the app "
        "registration",
    ),
    _Meaning(
        "throttled",
        lambda refusal: refusal.status == 429 or refusal.code.lower() in {"toomanyrequests", "applicationthrottled"},
        "Microsoft asks for fewer requests; they are sent later",
    ),
    _Meaning(
        "permission",
        lambda refusal: refusal.status == 403 or _says("Authorization_RequestDenied|AccessDenied")(refusal),
        "the application lacks the permission for this; grant {permission} as an application permission and give "
        "admin consent",
    ),
    _Meaning(
        "token",
        _is(401),
        "the log-in was not accepted; see that {permission} is granted with admin consent, that tenant and client in "
        "[microsoft] are right and that this machine's clock is",
    ),
    _Meaning(
        "not_there",
        _is(404),
        "there is no such thing in this tenant; compare the names in the settings. Message traces through Graph exist "
        "in the global cloud only",
    ),
    _Meaning(
        "out_of_order", lambda refusal: refusal.status >= 500, "Microsoft's side is out of order; it is tried again"
    ),
)


def name_of(refusal: Refusal) -> str:
    """Return a short name for what `refusal` means, such as 'service_principal', or 'unknown'."""
    return next((meaning.name for meaning in _MEANINGS if meaning.applies(refusal)), "unknown")


def sentence_of(refusal: Refusal, permission: str) -> str:
    """Return what `refusal` means and what to do, with Microsoft's own words and the id that its support asks for."""
    said = " ".join(filter(None, (str(refusal.status), refusal.code)))
    mends = (meaning.sentence for meaning in _MEANINGS if meaning.applies(refusal))
    mend = next(mends, "this answer is not known").format(permission=permission)
    words = f'; Microsoft said: "{refusal.words}"' if refusal.words else ""
    request = f" (request-id {refusal.request_id})" if refusal.request_id else ""
    return f"Microsoft Graph answered {said}: {mend}{words}{request}"


def _short(value: object) -> str:
    text = "".join(character if character.isprintable() else " " for character in str(value or ""))
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_WORDS else text[:LONGEST_WORDS] + "…"

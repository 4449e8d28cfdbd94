"""
Whether Microsoft lets us in and answers what each source asks: log-in, permissions, service principal, licence.

One after the other, because all of them need the log-in; each source asks once, for one row. A refusal is told by
Microsoft's own words, and mended by what `pipeline/graph/trouble.py` knows them to mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.clock import Clock, Stopped
from pipeline.doctor.result import Group, Result, Topic
from pipeline.doctor.roles import extra, grant, roles_of, too_many
from pipeline.errors import AuthsunsetError, SourceError
from pipeline.graph.client import Graph
from pipeline.graph.trouble import MAKE_PRINCIPAL, Refusal, RefusedError, name_of
from pipeline.needs import Api, Needs, Permission

TIMEOUT_S = 10.0
"""The sign-in log may think for some seconds."""

_LOOK_AGAIN = (
    "do what the sentence says, see that this machine reaches Microsoft, and look again\n"
    "curl -sSI https://login.microsoftonline.com"
)

_MENDS: Mapping[str, str] = {
    "service_principal": (
        "make the service principal of Microsoft's application behind message traces, and wait: it may take hours, up "
        f"to a day, to count\nConnect-MgGraph -Scopes Application.ReadWrite.All\n{MAKE_PRINCIPAL}"
    ),
    "licence": (
        "the sign-in log needs one Entra ID P1 or P2 licence in the tenant; see which there are, and without one "
        "remove this source and use the SMTP AUTH clients report\n"
        "Connect-MgGraph -Scopes Organization.Read.All\n"
        "Get-MgSubscribedSku | Select-Object SkuPartNumber,ConsumedUnits"
    ),
    "secret": (
        "renew the secret or certificate in Entra ID under App registrations, {client}, Certificates & secrets, and "
        "put it where the settings say; if it is new, set this machine's clock\ntimedatectl set-ntp true"
    ),
    "application": (
        "compare tenant and client in [microsoft] with the overview of the app registration in Entra ID\n"
        "Connect-MgGraph -Scopes Application.Read.All\n"
        "Get-MgApplication -Filter \"appId eq '{client}'\""
    ),
    "future": "this machine's clock is ahead; set it\ntimedatectl set-ntp true",
    "throttled": "other programs use up what Microsoft takes from this tenant; look again in five minutes",
    "token": "see that the permissions below are granted, that tenant and client are right, and that the clock is",
    "not_there": "compare the names in the settings of this source; message traces exist in the global cloud only",
    "out_of_order": "Microsoft's side is out of order; look again later, and at https://status.cloud.microsoft",
}


def microsoft(graph: Graph, sources: Mapping[str, Needs]) -> Iterator[Result]:
    """Yield whether the log-in succeeds, and how each of `sources` that needs a permission fares with it."""
    login = Topic(Group.MICROSOFT, "log-in", graph.settings.tenant)
    try:
        token = graph.token(graph.settings.graph.rstrip("/"), False)
    except AuthsunsetError as error:
        yield login.broken(_sentence(error), _mend(error, graph.settings.client, ()))
        for name, needs in _asking(sources).items():
            yield Topic(Group.SOURCES, "permission", name).skipped(f"{_listed(needs)}: the log-in must succeed first")
        return
    yield login.ok(f"application {graph.settings.client} is let in")
    allowed = _Allowed.of(graph, token)
    yield from allowed.too_many(sources)
    for name, needs in _asking(sources).items():
        yield from _source(name, needs, allowed)


def patient(clock: Clock, seconds: float) -> Clock:
    """Return `clock` for somebody who waits no longer than `seconds` in all, and then gives up."""
    until = clock.ticks() + seconds

    def wait(wanted: float) -> bool:
        left = until - clock.ticks()
        return wanted > left or clock.wait(wanted)

    return Clock(clock.now, clock.ticks, wait)


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What the application may do, by API; None where the token cannot be read."""

    graph: Graph
    roles: Mapping[Api, frozenset[str] | None]

    @classmethod
    def of(cls, graph: Graph, token: str) -> _Allowed:
        return cls(graph, {Api.GRAPH: roles_of(token)})

    def at(self, api: Api) -> frozenset[str] | None:
        """Return the roles at `api`, asking for a token of it where none was needed before."""
        if api is Api.GRAPH:
            return self.roles[api]
        return roles_of(self.graph.exchange_online_token())

    def too_many(self, sources: Mapping[str, Needs]) -> Iterator[Result]:
        needed = [permission for needs in sources.values() for permission in needs.permissions]
        for api in dict.fromkeys([Api.GRAPH, *(permission.api for permission in needed)]):
            roles = list(extra(self.at(api) or (), needed, api))
            if roles:
                yield too_many(roles, api, self.graph.settings.client)


def _source(name: str, needs: Needs, allowed: _Allowed) -> Iterator[Result]:
    missing = [permission for permission in needs.permissions if _is_missing(permission, allowed)]
    error = _answer(needs, allowed.graph)
    yield _permission(Topic(Group.SOURCES, "permission", name), needs, missing, error, allowed.graph.settings.client)
    if needs.asks:
        yield from _asked(Topic(Group.SOURCES, "answer", name), needs, missing, error, allowed.graph.settings.client)


def _permission(topic: Topic, needs: Needs, missing: list[Permission], error: Exception | None, client: str) -> Result:
    if not missing:
        return topic.ok(f"the application has {_listed(needs)}")
    names = ", ".join(permission.name for permission in missing)
    if needs.asks and error is None:
        return topic.ok(f"{names} stands not in the log-in, yet Exchange gives it: the request is answered")
    mend = "\n".join(grant(permission, client) for permission in missing)
    return topic.broken(f"the application lacks {names}", mend)


def _asked(
    topic: Topic, needs: Needs, missing: list[Permission], error: Exception | None, client: str
) -> Iterator[Result]:
    if error is None:
        yield topic.ok("Microsoft answers what this source asks")
    elif isinstance(error, Stopped):
        yield topic.warning(
            "no proper answer came in time, or other programs use up what Microsoft takes from this tenant",
            "look again in five minutes",
        )
    elif not (missing and _is_about_permission(error)):  # that has been said already
        yield topic.broken(_sentence(error), _mend(error, client, needs.permissions))


def _answer(needs: Needs, graph: Graph) -> Exception | None:
    """Return why one of the requests of a source was not answered, or None."""
    for address in needs.asks:
        try:
            graph.page(address, _listed(needs))
        except (SourceError, Stopped) as error:
            return error
    return None


def _is_missing(permission: Permission, allowed: _Allowed) -> bool:
    roles = allowed.at(permission.api)
    return roles is not None and permission.name not in roles


def _is_about_permission(error: Exception) -> bool:
    return _name_of(error) in {"permission", "token"}


def _name_of(error: Exception) -> str:
    refusal = error.refusal if isinstance(error, RefusedError) else None
    return name_of(refusal) if refusal else "unknown"


def _sentence(error: Exception) -> str:
    """Return what was found: of a refusal the answer itself, because its meaning is in the mend."""
    refusal = error.refusal if isinstance(error, RefusedError) else None
    return _answered(refusal) if refusal else str(error)


def _answered(refusal: Refusal) -> str:
    said = " ".join(filter(None, (str(refusal.status), refusal.code)))
    words = f': "{refusal.words}"' if refusal.words else ""
    request = f" (request-id {refusal.request_id})" if refusal.request_id else ""
    return f"Microsoft answered {said}{words}{request}"


def _mend(error: Exception, client: str, permissions: tuple[Permission, ...]) -> str:
    name = _name_of(error)
    if name == "permission" and permissions:
        lately = (
            "the log-in has the permission, so the refusal is about this mailbox or tenant, or it was granted just now"
        )
        return f"{lately}; where it is missing after all:\n" + "\n".join(grant(each, client) for each in permissions)
    known = _MENDS.get(name)
    return known.replace("{client}", client) if known else _LOOK_AGAIN


def _asking(sources: Mapping[str, Needs]) -> dict[str, Needs]:
    return {name: needs for name, needs in sources.items() if needs.permissions}


def _listed(needs: Needs) -> str:
    return " and ".join(permission.name for permission in needs.permissions)

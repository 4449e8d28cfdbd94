"""
Reduce the evidence about one sender to the few words that the decision table asks about, and say it in sentences.

A limit is taken on the safe side: 10 MB is the smaller of its two readings, and a mail is counted as one recipient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerts.remedy.device import Guess, guess_device
from alerts.remedy.ways import When
from pipeline.endpoints import service_of
from pipeline.replies import known_replies
from queries.facts import SenderFacts

VALUES: Mapping[str, tuple[str, ...]] = {
    "through": ("nothing", "postfix", "other_relay"),
    "device": ("printer_scanner", "nas_backup", "monitoring", "script", "erp_lob", "unknown"),
    "to": ("inside", "outside", "not_known"),
    "size": ("fits", "too_large"),
    "volume": ("few", "many", "huge"),
    "clients": ("one", "several"),
    "mailbox": ("tenant", "consumer"),
    "reply": (
        "before",
        "basic",
        "smtp_auth_off",
        "security_defaults",
        "conditional_access",
        "not_authenticated",
        "other",
    ),
}
"""Every value that each field of a case can have."""

LARGEST_BYTES = 10_000_000  # one message at HVE and ACS
NEW_ACS_RESOURCE_A_DAY = 24 * 100
ONE_MAILBOX_A_DAY = 10_000

# Written by the sending machine itself, which is no relay.
_OWN_LOGS = frozenset(
    {
        "msmtp",
        "ssmtp",
        "dma",
        "nullmailer",
        "smtplib",
        "nodemailer",
        "dotnet",
        "mailkit",
        "javamail",
        "phpmailer",
        "swaks",
    }
)
_HOSTLESS = frozenset({"exim", "hmailserver", "iis_smtp", "exchange_tracking"})
"""Relays whose logs do not say whose they are."""

_SHOWN_RELAYS = 3
_REPLIES: Mapping[str, str] = {
    "": "before",
    "smtpauth_off_tenant": "smtp_auth_off",
    "smtpauth_off_mailbox": "smtp_auth_off",
    "security_defaults": "security_defaults",
    "conditional_access": "conditional_access",
    "not_authenticated": "not_authenticated",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One sender, as the decision table sees it; VALUES lists what each field can be."""

    through: str
    device: str
    to: str
    size: str
    volume: str
    clients: str
    mailbox: str
    reply: str

    def fits(self, when: When) -> bool:
        """Tell whether all that `when` names is true of this case."""
        return all(getattr(self, field) in values for field, values in when.items())


def case_of(facts: SenderFacts) -> Case:
    """Return what the decision table needs to know about `facts`."""
    return Case(
        through=_through(facts),
        device=guess_of(facts).device_class,
        to="not_known" if facts.external_share is None else "outside" if facts.external_share > 0 else "inside",
        size="too_large" if (facts.largest_bytes or 0) > LARGEST_BYTES else "fits",
        volume=_volume(facts.mails_per_day or 0),
        clients="several" if len({device.ip or device.name for device in facts.devices}) > 1 else "one",
        mailbox="consumer" if any(service_of(host) == "outlook_consumer" for host in facts.endpoints) else "tenant",
        reply=_reply(facts.reply_class),
    )


def guess_of(facts: SenderFacts) -> Guess:
    """Return what the names in `facts` say about the kind of sender."""
    return guess_device(facts.sender, [device.name for device in facts.devices if device.name])


def evidence_of(facts: SenderFacts) -> tuple[str, ...]:
    """Return what was looked at and what it says, one sentence each; the values in them are untrusted."""
    return tuple(sentence for sentence in (_path(facts), _kind(facts), _recipients(facts), _amount(facts)) if sentence)


def words_of(facts: SenderFacts) -> Mapping[str, str]:
    """Return this sender's values for the clauses in ways.toml."""
    return {
        "share": share_text(facts.external_share),
        "size": size_text(facts.largest_bytes),
        "mails": f"{facts.mails_per_day or 0:,.0f}",
    }


def share_text(share: float | None) -> str:
    """Return a share as a percentage that never rounds some to none, or most to all."""
    if share is None:
        return "an unknown share"
    if 0 < share < 0.01:
        return "less than 1 %"
    if 0.99 < share < 1:
        return "more than 99 %"
    return f"{share * 100:.0f} %"


def size_text(size: int | None) -> str:
    """Return a number of bytes in MB, as mail limits are counted, or in kB where that says more."""
    if size is None:
        return "an unknown size"
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"


def relays_text(facts: SenderFacts) -> str:
    """Return the names of the relays in the path, at most three of them."""
    more = len(facts.relays) - _SHOWN_RELAYS
    return ", ".join(facts.relays[:_SHOWN_RELAYS]) + (f" and {more} more" if more > 0 else "")


def _through(facts: SenderFacts) -> str:
    if facts.formats and set(facts.formats) <= _OWN_LOGS:
        return "nothing"
    if not facts.relays and not _HOSTLESS & set(facts.formats):
        return "nothing"
    return "postfix" if "postfix" in facts.formats else "other_relay"


def _volume(mails_per_day: float) -> str:
    if mails_per_day > ONE_MAILBOX_A_DAY:
        return "huge"
    return "many" if mails_per_day > NEW_ACS_RESOURCE_A_DAY else "few"


def _reply(reply_class: str) -> str:
    if reply_class in _REPLIES:
        return _REPLIES[reply_class]
    is_basic = any(row.reply_class == reply_class and row.refusal == "basic" for row in known_replies())
    return "basic" if is_basic else "other"


def _path(facts: SenderFacts) -> str:
    if _through(facts) == "nothing":
        return "No relay of yours is seen in its path."
    named = f" {relays_text(facts)}" if facts.relays else ""
    return f"Its mail goes through your relay{named}{' (Postfix)' if 'postfix' in facts.formats else ''}."


def _kind(facts: SenderFacts) -> str:
    guess = guess_of(facts)
    if not guess.word:
        return "What kind of sender it is, is not known: no name tells."
    if guess.place == "mailbox":
        return f"It is probably {guess.is_a}, because the mailbox is called '{guess.word}'."
    return f"It is probably {guess.is_a}, because a client that sends for it is called '{guess.word}'."


def _recipients(facts: SenderFacts) -> str:
    if facts.external_share is None:
        return "Whether it writes to people outside is not known."
    if facts.external_share == 0:
        return "None of its recipients is outside."
    return f"{share_text(facts.external_share).capitalize()} of its recipients are outside."


def _amount(facts: SenderFacts) -> str:
    said = []
    if facts.mails_per_day is not None:
        said.append(f"{facts.mails_per_day:,.0f} mails on its busiest day")
    if facts.largest_bytes is not None:
        said.append(f"largest mail {size_text(facts.largest_bytes)}")
    return f"It sends: {', '.join(said)}." if said else ""

"""
What looks like the refusal and is none, as lines of logs: read, kept, and put to every detection.

Each near miss has a host and a sender of its own, so that whatever is found can be told to be of it. All lines are
constructed. A genuine refusal among them shows that the detections are awake.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import pytest

from alerts.channels import email
from alerts.message import Message
from pipeline.following import pull
from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.recognise import recognise
from queries.detect import detect
from queries.detection import detections
from queries.history import Noted, latest
from queries.published import publish
from tests.conftest import NOW

SENTENCE = "550 5.7.30 Basic authentication is not supported for Client Submission."
SIGNED = f"{SENTENCE} [FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM 2026-12-31T22:00:00.100Z 08DE47A9F1C2B3D4]"
ENDED = "[FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM 2026-12-31T22:00:00.100Z 08DE47A9F1C2B3{number:02X}]"
MICROSOFT = "smtp.office365.com[203.0.113.25]"
PARTNER = "mx.partner.example[203.0.113.99]"
GMAIL = "gmail-smtp-in.l.google.com[203.0.113.98]"
WHEN = "2026-12-31T22:{minute:02}:00.000000+00:00"


def postfix(name: str, delivery: str, *, subject: str = "") -> str:
    """Return what Postfix logs of one mail of the sender `name`, on a host called so."""
    queue_id = f"4Z{sum(map(ord, name)):06X}"
    lines = [
        f"smtpd[11]: {queue_id}: client=dev[192.0.2.7]",
        f"cleanup[12]: {queue_id}: message-id=<{name}@contoso.example>",
        f"cleanup[12]: {queue_id}: warning: header Subject: {subject} from dev[192.0.2.7]; "
        f"from=<{name}@contoso.example> to=<ops@partner.example> proto=ESMTP helo=<dev>",
        f"qmgr[13]: {queue_id}: from=<{name}@contoso.example>, size=1200, nrcpt=1 (queue active)",
        f"{delivery.replace('QID', queue_id)}",
    ]
    return "".join(
        f"{WHEN.format(minute=at)} {name} postfix/{line}\n" for at, line in enumerate(lines) if subject or at != 2
    )


def answered(by: str, reply: str, status: str = "bounced", dsn: str = "5.7.30", command: str = "MAIL FROM") -> str:
    """Return a delivery that the server `by` answered with `reply`."""
    return (
        f"smtp[14]: QID: to=<ops@partner.example>, relay={by}:25, delay=1, delays=0/0/1/0, dsn={dsn}, "
        f"status={status} (host {by} said: {reply} (in reply to {command} command))"
    )


def at_log_in(reply: str, dsn: str = "4.7.0") -> str:
    """Return a delivery that was put off because Exchange Online refused the log-in with `reply`."""
    return (
        f"smtp[14]: QID: to=<ops@partner.example>, relay={MICROSOFT}:587, delay=1, delays=0/0/1/0, dsn={dsn}, "
        f"status=deferred (SASL authentication failed; server {MICROSOFT} said: {reply})"
    )


TAKEN = (
    f"smtp[14]: QID: to=<ops@partner.example>, relay={MICROSOFT}:587, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent "
    "(250 2.0.0 OK <x@contoso.example> [Hostname=FR2P281MB0044.DEUP281.PROD.OUTLOOK.COM])"
)


@dataclass(frozen=True, slots=True)
class Near:
    """A near miss: the file it stands in, and the detections that are right to fire for it."""

    text: str
    fires: frozenset[str] = frozenset()
    suffix: str = "log"


def near(text: str, *fires: str, suffix: str = "log") -> Near:
    return Near(text, frozenset(fires), suffix)


QUOTING_BOUNCE = f"""\
From: MAILER-DAEMON@quoting-bounce.contoso.example
To: quoting-bounce@contoso.example
Date: Thu, 31 Dec 2026 22:00:00 +0000
Subject: Undelivered Mail Returned to Sender
Message-ID: <bounce-1@contoso.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain

The mailbox is full.

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; quoting-bounce
X-Postfix-Queue-ID: 4ZBB0000
X-Postfix-Sender: rfc822; quoting-bounce@contoso.example
Arrival-Date: Thu, 31 Dec 2026 22:00:00 +0000

Final-Recipient: rfc822; ops@partner.example
Action: failed
Status: 5.2.2
Remote-MTA: dns; mx.partner.example
Diagnostic-Code: smtp; 552 5.2.2 The mailbox is full

--b1
Content-Type: message/rfc822

From: quoting-bounce@contoso.example
To: ops@partner.example
Subject: {SENTENCE}

The scanner says: {SIGNED}

--b1--
"""

CORPUS = {
    # Other meanings of the code.
    "requiretls-of-postfix": near(
        postfix(
            "requiretls-of-postfix",
            "smtp[14]: QID: to=<ops@partner.example>, relay=none, delay=1, delays=0/0/1/0, dsn=5.7.30, status=bounced "
            "(Sender requested REQUIRETLS, but no server was found)",
        )
    ),
    "requiretls-of-a-partner": near(
        postfix("requiretls-of-a-partner", answered(PARTNER, "550 5.7.30 REQUIRETLS support required"))
    ),
    "requiretls-of-microsoft": near(
        postfix("requiretls-of-microsoft", answered(MICROSOFT, "550 5.7.30 REQUIRETLS support required"))
    ),
    "dkim-at-gmail": near(
        postfix(
            "dkim-at-gmail",
            answered(
                GMAIL,
                "550-5.7.30 This mail has been blocked because DKIM does not pass. 550 5.7.30 a1-20 - gsmtp",
                command="end of DATA",
            ),
        )
    ),
    "dkim-rate-at-gmail": near(
        postfix(
            "dkim-rate-at-gmail",
            answered(
                GMAIL,
                "421-4.7.30 Your email has been rate limited because DKIM does not pass. 421 4.7.30 b2 - gsmtp",
                status="deferred",
                dsn="4.7.30",
                command="end of DATA",
            ),
        )
    ),
    "bare-code-of-a-partner": near(postfix("bare-code-of-a-partner", answered(PARTNER, "550 5.7.30 not today"))),
    # Codes that begin or end alike.
    "code-5.7.309": near(
        postfix("code-5.7.309", answered(MICROSOFT, f"550 5.7.309 no {ENDED.format(number=1)}", dsn="5.7.309")),
        "unknown_replies",
    ),
    "code-5.7.3": near(
        postfix("code-5.7.3", at_log_in(f"535 5.7.3 Authentication unsuccessful {ENDED.format(number=2)}", "4.7.3")),
        "rescuable_queue",
    ),
    "code-5.7.139-password": near(
        postfix(
            "code-5.7.139-password",
            at_log_in(
                "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. "
                + ENDED.format(number=3)
            ),
        ),
        "rescuable_queue",
    ),
    "code-5.7.139-policy": near(
        postfix(
            "code-5.7.139-policy",
            at_log_in(
                "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated "
                f"successfully. Contact your administrator. {ENDED.format(number=4)}"
            ),
        ),
        "rescuable_queue",
        "conditional_access",
    ),
    "code-5.7.139-disabled": near(
        postfix(
            "code-5.7.139-disabled",
            at_log_in(
                "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. " + ENDED.format(number=5)
            ),
        ),
        "rescuable_queue",
        "basic_auth_disabled",
    ),
    # Programs whose version is the code.
    "mysql": near(
        "2026-12-31T22:00:00.000000+00:00 mysql mysqld[550]: /usr/sbin/mysqld (mysqld 5.7.30-log) starting as process "
        "550 ...\n"
        "2026-12-31T22:00:01.000000+00:00 mysql mysqld[550]: Version: '5.7.30-log'  socket: '/run/mysqld.sock'  port: "
        "3306  MySQL Community Server (GPL)\n"
        "2026-12-31T22:00:02.000000+00:00 mysql dpkg[9]: status installed mysql-server-5.7:amd64 "
        "5.7.30-0ubuntu0.18.04.1\n"
    ),
    # What only quotes the sentence.
    "quoting-subject": near(postfix("quoting-subject", TAKEN, subject=SENTENCE)),
    "quoting-subject-signed": near(postfix("quoting-subject-signed", TAKEN, subject=SIGNED)),
    "quoting-subject-in-exim": near(
        "2026-12-31 22:00:00 1xVYap-000019-1U <= quoting-subject-in-exim@contoso.example H=(dev) [192.0.2.31] P=esmtp "
        f'S=978 id=a1@contoso.example T="{SENTENCE}"\n'
        "2026-12-31 22:00:01 1xVYap-000019-1U => ops@partner.example R=smarthost T=smtp H=mx.partner.example "
        '[203.0.113.99] C="250 2.0.0 Ok: queued"\n'
        "2026-12-31 22:00:01 1xVYap-000019-1U Completed\n"
    ),
    "quoting-bounce": near(QUOTING_BOUNCE, suffix="eml"),
    "quoting-ticket": near(
        "2026-12-31T22:00:00.000000+00:00 quoting-ticket helpdesk[7]: ticket 4711 opened by anna: Subject: our scanner "
        f"shows {SIGNED}\n"
        "2026-12-31T22:00:01.000000+00:00 quoting-ticket helpdesk[7]: note: from January on the server will answer "
        f"{SENTENCE}\n"
    ),
    # What speaks of refusals of others.
    "our-own-output": near(
        f"2026-12-31T22:00:00.000000+00:00 our-own-output authsunset[8]: scan@contoso.example is refused: {SIGNED}\n"
    ),
    "echo": near(
        postfix(
            "echo",
            "error[14]: QID: to=<ops@partner.example>, relay=none, delay=1, delays=0/0/0/1, dsn=4.7.30, "
            "status=deferred (delivery temporarily suspended: SASL authentication failed; "
            f"server {MICROSOFT} said: {SIGNED})",
        ),
        "rescuable_queue",
    ),
    # And one that is meant.
    "genuine": near(postfix("genuine", at_log_in(SIGNED, "4.7.30")), "basic_auth_refused", "rescuable_queue"),
}


def our_own_alert() -> str:
    """Return a mail of ours about a refusal, as the channel writes it."""
    said = Message(
        id="m1",
        thread="t1",
        reason="new",
        severity="high",
        title="our-own-alert@contoso.example is refused",
        summary=SIGNED,
        facts=(("Server's words", SIGNED),),
        hint=f"### What it means\nExchange Online answers: {SENTENCE}\n",
        noticed_at=NOW,
    )
    settings = email.Settings(sender="our-own-alert@contoso.example", to=("oncall@contoso.example",), folder=Path())
    return email.eml(said, settings, NOW).as_string()


@dataclass(frozen=True, slots=True)
class Seen:
    """What the lake holds of all that: who sent mail, and what was found."""

    senders: frozenset[str]
    noted: tuple[Noted, ...]

    def fired_for(self, name: str) -> set[str]:
        """Return the detections that found something of the near miss `name`: its sender, or its host."""
        sender = f"{name}@contoso.example"
        return {
            noted.detection.rpartition("/")[2]
            for noted in self.noted
            if noted.sender == sender
            or noted.facts.get("log_host") == name
            or sender in str(noted.facts.get("some_senders", ""))
        }


@pytest.fixture(scope="module")
def seen(empty_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Read all of them into one lake, as the service would, and put them to every detection."""
    folder = tmp_path_factory.mktemp("near")
    for name, each in CORPUS.items():
        (folder / f"{name}.{each.suffix}").write_text(each.text)
    (folder / "our-own-alert.eml").write_text(our_own_alert())
    (folder / "our-own-alert.log").write_text(postfix("our-own-alert", TAKEN, subject=SIGNED))
    files = sorted(map(str, folder.iterdir()))

    with Lake.open(shutil.copytree(empty_lake, folder / "lake")) as lake:
        publish(lake)
        run_source(lake, "near", lambda position: pull(files, position, recognise, UTC, to_the_end=True), lambda: NOW)
        for detection in detections():
            detect(lake, detection, NOW)
        senders = lake.rows("SELECT DISTINCT split_part(sender, '@', 1) AS name FROM deliveries")
        return Seen(frozenset(row["name"] for row in senders), tuple(latest(lake)))


@pytest.mark.parametrize("name", CORPUS)
def test_only_what_is_right_fires_for_a_near_miss(seen: Seen, name: str) -> None:
    assert seen.fired_for(name) == CORPUS[name].fires


def test_every_mail_among_them_was_read(seen: Seen) -> None:
    no_mail = {"mysql", "quoting-ticket", "our-own-output"}

    assert seen.senders == {*CORPUS, "our-own-alert"} - no_mail


def test_nobody_but_the_genuine_one_is_called_refused(seen: Seen) -> None:
    refused = [noted.sender for noted in seen.noted if noted.detection == "rejection/basic_auth_refused"]

    assert refused == ["genuine@contoso.example"]


def test_our_own_alerts_are_no_evidence(seen: Seen) -> None:
    assert seen.fired_for("our-own-alert") == set()


def test_nothing_is_found_that_belongs_to_none_of_them(seen: Seen) -> None:
    told = [(name, fired) for name in CORPUS for fired in seen.fired_for(name)]

    assert len(seen.noted) == len(told)

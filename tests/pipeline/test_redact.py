"""What can be a credential goes; what only looks a little like one stays."""

from __future__ import annotations

import base64
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Parsed, Reject
from pipeline.redact import MARK, redacted, redacted_bytes, redacted_value, without_credentials

USER = base64.b64encode(b"scan@contoso.example").decode()
PASSWORD = base64.b64encode(b"Winter-2026!").decode()
PLAIN = base64.b64encode(b"\0scan@contoso.example\0Winter-2026!").decode()
XOAUTH2 = base64.b64encode(b"user=scan@contoso.example\1auth=Bearer ya29.Secret-Token_1234567890\1\1").decode()
JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJhdWQiOiJodHRwczovL291dGxvb2sifQ.c2lnbmF0dXJl"


GOES = [
    f"AUTH PLAIN {PLAIN}",
    f" ~> AUTH PLAIN {PLAIN}",
    f"C: AUTH XOAUTH2 {XOAUTH2}",
    f"send: 'AUTH PLAIN {PLAIN}\\r\\n'",
    f"send: b'{PASSWORD}\\r\\n'",
    f"CLIENT -> SERVER: {PASSWORD}",
    f" -> {PASSWORD}",
    f" ~> {PASSWORD}",
    f"> {PASSWORD}",
    f"C: {PASSWORD}",
    f'"SENT: {PASSWORD}"',
    PASSWORD,
    f"{PASSWORD}\r",
    f"auth login {USER} then\n{PASSWORD}\n",
    f"Authorization: Basic {PLAIN}",
    f"Authorization: Bearer {JWT}",
    f"token {JWT} expired",
    "password=Winter-2026! user=scan",
    'password: "Winter-2026!"',
    "swaks --auth-user scan --auth-password Winter-2026! --to x",
    f'{{"msg":"AUTH PLAIN {PLAIN}"}}',
    f"AUTH+LOGIN+{PASSWORD}",
    f"AUTH%20PLAIN%20{PLAIN.replace('=', '%3D')}",
    f"S: 334 UGFzc3dvcmQ6\nC: {PASSWORD}",
    "authPlain: \\x00scan@contoso.example\\x00Winter-2026!",
    "curl -u scan@contoso.example:Winter-2026! smtp://smtp.office365.com:587",
    "curl -u=scan:Winter-2026! x",
    "plink -pw=Winter-2026! x",
    "smtp://scan%40contoso.example:Winter-2026!@smtp.office365.com:587",
    "[smtp.office365.com]:587 scan@contoso.example:Winter-2026!",
    "swaks -au scan -ap 'Winter-2026!'",
    '"auth": {"user": "scan@contoso.example", "pass": "Winter-2026!"}',
    "auth: { user: 'scan@contoso.example', pass: 'my Winter-2026!' }",
    "'smtp_password' => 'Winter-2026!'",
    "<Password>Winter-2026!</Password>",
    "Kennwort: Winter-2026!",
    "mot de passe = Winter-2026!",
    "client_secret='Winter-2026!'",
    "smtpPassword=Winter-2026!",
    "MailAuthPass: Winter-2026!",
    '<add key="SmtpPassword" value="Winter-2026!" />',
    '{\\"password\\":\\"Winter-2026!\\"}',
    '{"password":"a\\"Winter-2026!"}',
    "password={a;Winter-2026!};Encrypt=true",
    "пароль: Winter-2026!",
    "lösenord=Winter-2026!",
    "said 334 UGFzc3dvcmQ6\\r\\n" + PASSWORD + "\\r\\n then",
    "<- 334 UGFzc3dvcmQ6 -> " + PASSWORD + ", <- 550",
    "AUTH=20PLAIN=20" + PLAIN.replace("=", "=3D"),
    f"AUTH PLAIN\\x20{PLAIN}",
    "said \\0scan@contoso.example\\0Winter-2026!",
    "#000scan@contoso.example#000Winter-2026!",
    "raw \x00scan@contoso.example\x00Winter-2026!",
    "raw " + b"\0scan@contoso.example\0Winter-2026!".hex(),
    "swaks --au scan --ap Winter-2026!",
    "sendEmail -xu scan@contoso.example -xp Winter-2026!",
    "curl --user 'scan@contoso.example:my Winter-2026!' smtp://smtp.office365.com",
    'smtp.login("scan@contoso.example", "Winter-2026!")',
    "server.login('scan@contoso.example', 'Winter-2026!')",
    'new NetworkCredential("scan@contoso.example", "Winter-2026!")',
    '$password = ConvertTo-SecureString "Winter-2026!" -AsPlainText -Force',
    "machine smtp.office365.com login scan@contoso.example password Winter-2026!",
    "postfix/smtp[9]: smtp_sasl_passwd_lookup: host `smtp.office365.com' user `scan' pass `Winter-2026!'",
    "postfix/smtp[9]: xsasl_cyrus_client_next: uncoded client response Winter-2026!",
    "postfix/smtp[9]: xsasl_cyrus_client_get_passwd: Winter-2026!",
    f"postfix/smtp[9]: > smtp.office365.com[203.0.113.7]:587: {PASSWORD}",
    "https://hooks.example/send?sig=Winter-2026!&to=x",
    "AccountKey=Winter-2026!;EndpointSuffix=core",
]
STAYS = [
    "550 5.7.30 Basic authentication is not supported for Client Submission. "
    "[FR2P281CA0044.DEUP281.PROD.OUTLOOK.COM 2026-11-23T18:24:07.966Z 08DE2811AAAA0002]",
    "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
    "250-AUTH LOGIN PLAIN XOAUTH2",
    "SMTP ERROR: Password command failed: 535 5.7.139 Authentication unsuccessful",
    "Login with this password: 550 5.7.30 Basic authentication is not supported for Client Submission.",
    "dkim=pass header.d=contoso.example; spf=pass smtp.mailfrom=scan@contoso.example",
    "connect to smtp.office365.com[2001:db8::5]:587: Connection timed out",
    "https://learn.microsoft.com:443/exchange said by scan@contoso.example:587",
    "SASL authentication failed; server smtp.office365.com[203.0.113.7] said: 535 5.7.3 Authentication failed",
    "SMTP ERROR: Password command failed: 535 5.7.3 Authentication unsuccessful",
    "AUTH LOGIN failed",
    "AUTH PLAIN ****",
    "AUTH=client, relay=smtp.office365.com, mech=PLAIN, bits=0",
    "4jYDqC6WcvzNYRD: removed",
    "1xVYao-00000Z-2c Completed",
    "08DE2811AAAA0002",
    "Nov 23 18:24:22 relay01 postfix/smtp[241]: A1B2C3D4E5: to=<ops@contoso.example>, relay=none",
    "(in reply to end of DATA command)",
    "334 Go ahead with the next part",
    "Donaudampfschifffahrtsgesellschaft: queued as 9C1B2A3D4E",
    "message-id=<AS8PR01MB1234ABCDEF0123456789@AS8PR01MB1234.eurprd01.prod.exchangelabs.com>",
    "InternalId=12345678901234, Hostname=AM0PR01MB1234.eurprd01.prod.exchangelabs.com",
    "id AAMkAGI2TG93AAA=AQAAAAARAAAA and AQHZ6d0zq1mYp0q3d0W9bQ==",
    "id 08dd1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f",
    "a log-in (user) and a credential (none) bypass=1",
    "12345678",
    "The bearer token has expired",
    "authentication failed (method LOGIN)",
]


@pytest.mark.parametrize("line", GOES)
def test_a_credential_goes(line: str) -> None:
    kept = redacted(line)

    assert MARK in kept
    for secret in (PASSWORD, PLAIN, XOAUTH2, JWT, "Winter-2026!"):
        assert secret not in kept


@pytest.mark.parametrize("line", STAYS)
def test_what_is_no_credential_stays(line: str) -> None:
    assert redacted_value(line) == line
    assert line == "08DE2811AAAA0002" or redacted(line) == line


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16-le", "utf-16"])
@pytest.mark.parametrize("password", ["Größe-12", "schön", "Öl&Gäste99"])
def test_a_password_goes_whatever_it_is_written_in(password: str, encoding: str) -> None:
    said = password.encode(encoding)
    alone = base64.b64encode(said).decode()
    plain = base64.b64encode(b"\0scan@contoso.example\0" + said).decode()

    assert alone not in redacted_value(f"AUTH LOGIN {alone}")
    assert alone not in redacted_value(f"S: 334 UGFzc3dvcmQ6 C: {alone} S: 535 5.7.3")
    assert alone not in redacted(f"C: {alone}")
    assert plain not in redacted_value(f"it said {plain} and was refused")


@pytest.mark.parametrize("password", ["abcd", "geheim", "Sommer1", "12345678"])
def test_a_short_password_goes_where_it_answers_the_challenge(password: str) -> None:
    said = base64.b64encode(password.encode()).decode()

    for line in (f"S: 334 UGFzc3dvcmQ6\nC: {said}", f"334 UGFzc3dvcmQ6\\r\\n{said}", f'"334 UGFzc3dvcmQ6", "{said}"'):
        assert said not in redacted(line)
        assert said not in redacted_value(line)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ('smtp.login("scan@contoso.example", "Winter-2026!")', "scan@contoso.example"),
        ("swaks --au scan@contoso.example --ap Winter-2026! --tls", "--tls"),
        ("user `scan@contoso.example' pass `Winter-2026!'", "scan@contoso.example"),
        ("said \\0scan@contoso.example\\0Winter-2026!", "scan@contoso.example"),
        ("Server=db;User Id=scan@contoso.example;Password=Winter-2026!;Encrypt=true", "Encrypt=true"),
        ("msmtp --passwordeval 'cat /etc/secret' --user scan@contoso.example", "cat /etc/secret"),
    ],
)
def test_who_logs_in_stays(line: str, kept: str) -> None:
    assert kept in redacted_value(line)


def test_a_name_with_letters_of_its_language_is_known_in_bytes_too() -> None:
    assert b"Winter" not in redacted_bytes("contraseña: Winter-2026!".encode())
    assert b"Winter" not in redacted_bytes("contraseña: Winter-2026!".encode("latin-1"))


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    assert redacted_bytes(
        b"\xff\x80 AUTH PLAIN " + PLAIN.encode() + b" \xfe"
    ) == f"\xff\x80 AUTH PLAIN {MARK} \xfe".encode("latin-1")


def test_rows_rejects_and_sessions_are_all_looked_at() -> None:
    parsed = Parsed(
        {"deliveries": pa.table({"reply_text": [f"you said AUTH PLAIN {PLAIN}", None], "event_id": ["a" * 24, "b"]})},
        (Reject(f"AUTH PLAIN {PLAIN}".encode(), 0, f"found password={PASSWORD}"),),
        {"sessions": [{"said": f"AUTH PLAIN {PLAIN}"}]},
    )

    clean = without_credentials(parsed)

    assert PLAIN not in str(clean.tables["deliveries"].to_pylist()) + str(clean.rejects) + str(clean.carry)
    assert clean.tables["deliveries"]["event_id"].to_pylist() == ["a" * 24, "b"]


WORDS = sorted({word for line in (*GOES, *STAYS) for word in re.split(r"(?<=\W)|(?=\W)", line) if word})


@given(st.lists(st.sampled_from([*GOES, *STAYS, *WORDS]), min_size=1, max_size=6), st.sampled_from(["", " ", "="]))
def test_a_column_is_cleaned_of_all_that_goes_from_its_values_one_by_one(words: list[str], between: str) -> None:
    text = between.join(words)
    rows = pa.table({"reply_text": [text, text, None, *words]})

    clean = without_credentials(Parsed({"deliveries": rows})).tables["deliveries"]["reply_text"].to_pylist()

    assert clean == [redacted_value(text), redacted_value(text), None, *map(redacted_value, words)]

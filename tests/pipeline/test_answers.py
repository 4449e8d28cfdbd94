"""What the lines of several programs have in common."""

from __future__ import annotations

import pytest

from pipeline.answers import address_of, answer, host_of, ip_of, protocol_of

RETIRED = "550 5.7.30 Basic authentication is not supported for Client Submission."


def test_addresses_hosts_and_ips_are_written_one_way() -> None:
    assert address_of(b"Scan@Contoso.Example") == "scan@contoso.example"
    assert address_of(b"b\xfcro@contoso.example") == "büro@contoso.example"
    assert host_of(b"SMTP.office365.com.") == "smtp.office365.com"
    assert host_of(b"[127.0.0.1]") == "127.0.0.1"
    assert ip_of(b"IPv6:2001:DB8::1") == "2001:db8::1"


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("LOGIN", "basic"), ("plain", "basic"), ("XOAUTH2", "oauth2"), ("GSSAPI", "unknown"), (None, "unknown")],
)
def test_only_mechanisms_that_are_surely_basic_are_called_so(name: str | None, protocol: str) -> None:
    assert protocol_of(name) == protocol


def test_a_refusal_of_basic_tells_the_protocol_only_where_nothing_else_does() -> None:
    assert answer(RETIRED, None)["auth_protocol"] == "basic"
    assert answer(RETIRED, None, "none")["auth_protocol"] == "none"
    assert answer("550 5.7.60 x", "smtp.office365.com")["auth_protocol"] == "unknown"


def test_an_endpoint_that_is_not_known_belongs_to_no_service() -> None:
    assert (answer("x", None)["service"], answer("x", "mx.contoso.example")["service"]) == (None, "other")

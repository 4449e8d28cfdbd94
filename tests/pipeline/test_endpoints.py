"""Whose server a host is; only for Microsoft's own does a bare 5.7.30 mean what we look for."""

from __future__ import annotations

import pytest

from pipeline.endpoints import OTHER, is_microsoft, service_of

HOSTS = {
    "exchange_online": [
        "smtp.office365.com",
        "smtp-legacy.office365.com",
        "SMTP.Office365.COM",
        "smtp.office365.com.",
        "smtp.outlook.com",
        "outlook.office365.com",
        "outlook.office.com",
        "FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM",
        "db9pr01ca0005.eurprd01.prod.exchangelabs.com",
        "fra-efz.ms-acdc.office.com",
        "smtp.office365.us",
        "smtp.partner.outlook.cn",
    ],
    "outlook_consumer": ["smtp-mail.outlook.com"],
    "exchange_online_mx": ["contoso-example.mail.protection.outlook.com", "contoso-example.v-v1.mx.microsoft"],
    "hve": ["smtp-hve.office365.com", "smtp.hve.mx.microsoft"],
    "acs": ["smtp.azurecomm.net"],
    OTHER: [
        "mx.partner.example",
        "smtp.office365.com.evil.example",
        "evilsmtp.office365.com.example",
        "notoutlook.com",
        "office365.com",
        "com",
        "",
        ".",
        "203.0.113.7",
        "2001:db8::25",
    ],
}


@pytest.mark.parametrize(("service", "host"), [(service, host) for service, hosts in HOSTS.items() for host in hosts])
def test_a_host_belongs_to_its_service(service: str, host: str) -> None:
    assert service_of(host) == service


def test_an_unknown_host_and_none_are_other() -> None:
    assert service_of(None) == OTHER


@pytest.mark.parametrize("service", [service for service in HOSTS if service != OTHER])
def test_microsoft_runs_every_known_service(service: str) -> None:
    assert is_microsoft(service)


@pytest.mark.parametrize("service", [OTHER, "", "gmail"])
def test_nobody_else_is_microsoft(service: str) -> None:
    assert not is_microsoft(service)


def test_hosts_from_logs_do_not_pile_up() -> None:
    for number in range(20_000):
        service_of(f"mx{number}.example")

    assert service_of.cache_info().currsize <= 8_192

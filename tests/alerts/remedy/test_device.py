from __future__ import annotations

import pytest

from alerts.remedy.device import NO_GUESS, guess_device


@pytest.mark.parametrize(
    ("mailbox", "device_class", "word"),
    [
        ("scanner@contoso.example", "printer_scanner", "scanner"),
        ("scan2mail@contoso.example", "printer_scanner", "scan"),
        ("Etagendrucker-3OG@contoso.example", "printer_scanner", "drucker"),
        ("numérisation@contoso.example", "printer_scanner", "numerisation"),
        ("nas-01@contoso.example", "nas_backup", "nas"),
        ("datensicherung@contoso.example", "nas_backup", "datensicherung"),
        ("Störung@contoso.example", "monitoring", "stoerung"),
        ("zabbix@contoso.example", "monitoring", "zabbix"),
        ("svc_reports@contoso.example", "script", "svc"),
        ("tâche@contoso.example", "script", "tache"),
        ("sap-prd@contoso.example", "erp_lob", "sap"),
        ("facturation@contoso.example", "erp_lob", "facturation"),
    ],
)
def test_a_word_in_the_mailbox_tells_what_the_sender_is(mailbox: str, device_class: str, word: str) -> None:
    guess = guess_device(mailbox)

    assert (guess.device_class, guess.word, guess.place) == (device_class, word, "mailbox")


@pytest.mark.parametrize(
    "mailbox",
    [
        "info@contoso.example",
        "jonas@contoso.example",
        "scandinavia@contoso.example",
        "subscriptions@contoso.example",
        "",
        "@",
        "(unknown sender)",
    ],
)
def test_short_words_inside_longer_ones_say_nothing(mailbox: str) -> None:
    assert guess_device(mailbox) == NO_GUESS


def test_the_domain_of_a_mailbox_or_a_client_says_nothing() -> None:
    assert guess_device("a@printer.example", ["pc7.backup.example"]) == NO_GUESS


def test_the_longest_word_wins() -> None:
    assert guess_device("scan-zabbix@contoso.example").device_class == "monitoring"


def test_on_a_tie_the_mailbox_speaks_before_the_client() -> None:
    guess = guess_device("zabbix@contoso.example", ["backup"])

    assert (guess.device_class, guess.place) == ("monitoring", "mailbox")


def test_a_name_that_a_printer_gave_itself_outweighs_a_word() -> None:
    guess = guess_device("alerts@contoso.example", ["BRN001BA9C4D5E6.contoso.example"])

    assert (guess.device_class, guess.word, guess.place) == ("printer_scanner", "BRN", "client")


def test_letters_without_a_hardware_address_are_no_printer() -> None:
    assert guess_device("info@contoso.example", ["HP-desk", "et4"]) == NO_GUESS

"""The words of this world: what people, places and devices are called, and what their mail is about."""

from __future__ import annotations

from pipeline.simulate.dice import Dice

FIRST = (
    *("anna", "ben", "clara", "david", "eva", "felix", "greta", "hans", "ida", "jan", "karin", "lars", "maria"),
    *("nils", "olga", "paul", "rosa", "sven", "tina", "uwe", "vera", "wim", "yara", "zoe", "mehmet", "aylin"),
)
LAST = (
    *("huber", "meier", "schmidt", "weber", "wagner", "becker", "hoffmann", "koch", "bauer", "richter", "klein"),
    *("wolf", "neumann", "schwarz", "zimmer", "braun", "krueger", "lange", "werner", "krause", "lehmann", "maier"),
    *("smith", "jones", "miller", "davis", "garcia", "wilson", "taylor", "kaya", "nowak", "novak", "rossi"),
)
PLACES = ("muc", "ber", "ham", "cgn", "str", "fra", "lej", "nue", "bos", "chi", "dus", "hro")
ROOMS = ("eg", "og1", "og2", "hr", "fibu", "lager", "empfang", "einkauf", "labor", "werk2", "service", "it")

LOCAL_PARTS = {
    "printer": ("scan", "scanner", "mfp", "kopierer", "drucker", "scan2mail", "fax", "frontdesk", "team"),
    "business": ("erp", "sap", "crm", "ticket", "noreply", "orders", "rechnung", "helpdesk", "datev", "shop", "info"),
    "script": ("svc-report", "cron", "job", "batch", "export", "svc-adreport", "etl", "ops", "statistik"),
    "print_server": ("printserver", "ps", "papercut", "spool"),
    "monitoring": ("nagios", "zabbix", "prtg", "monitor", "alerts", "icinga"),
    "iot": ("nas", "backup", "ups", "kamera", "nvr", "klima", "veeam", "usv", "zutritt"),
    "legacy_saas": ("newsletter", "survey", "booking", "webform", "reisekosten", "elearning"),
}

SUBJECTS = {
    "printer": ("Scan from {room}", "Message from KM_{n}", "Scan Data from {room}", "Attached Image", "Scan {n}"),
    "business": ("Auftrag {n}", "Rechnung {n}", "[Ticket#{n}] neue Antwort", "Bestellung {n}", "Order {n} confirmed"),
    "script": ("nightly job {n}", "Report {n}", "AD password expiry report", "Cron <root@app> run {n}"),
    "print_server": ("Print job {n} failed", "Toner low", "Druckauftrag {n}"),
    "monitoring": ("PROBLEM: host{n} is DOWN", "Resolved: disk full on srv{n}", "** PROBLEM Service Alert: srv{n}"),
    "iot": ("[Success] backup ({n} objects)", "NAS: weekly health report", "Camera 3: motion {n}", "UPS on battery"),
    "legacy_saas": ("Your booking {n}", "Umfrage {n}", "New form entry {n}"),
    "person": ("Re: offer {n}", "Protokoll", "AW: Termin", "Urlaub", "Re: question {n}", "Agenda", "Fwd: contract {n}"),
}
QUOTING = (
    "RE: 550 5.7.30 Basic authentication is not supported for Client Submission",
    "AW: status=bounced (host smtp.office365.com said: 550 5.7.30)",
    "FYI: Basic authentication is not supported for Client Submission - was tun?",
)
"""Subjects of people who talk about the end of Basic authentication; none of them is a refusal."""

HELOS = {
    "printer": ("BRN{mac}", "KM{mac}", "RNP{mac}", "NPI{mac}", "XRX{mac}", "EPSON{mac}"),
    "business": ("erp.contoso.example", "WIN-{mac}", "app{n}.contoso.example"),
    "iot": ("nas{n}", "localhost", "NVR-{mac}"),
}

DATACENTRES = (
    *("FR2P281CA0044.DEUP281.PROD.OUTLOOK.COM", "FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM"),
    *("AM0PR02CA0098.eurprd02.prod.outlook.com", "AS4P190CA0017.EURP190.PROD.OUTLOOK.COM"),
    *("DB9PR01CA0005.eurprd01.prod.exchangelabs.com", "BL1P223CA0013.NAMP223.PROD.OUTLOOK.COM"),
    *("FR0P281CA0123.DEUP281.PROD.OUTLOOK.COM", "ZR0P278CA0071.CHEP278.PROD.OUTLOOK.COM"),
)


def subject_of(category: str, dice: Dice) -> str:
    """Return what a mail of such a sender is about."""
    if category == "person" and dice.chance(0.002):
        return dice.choice(QUOTING)
    words = dice.choice(SUBJECTS[category])
    return words.format(n=dice.randrange(1000, 99999), room=dice.choice(ROOMS))


def helo_of(category: str, dice: Dice) -> str:
    """Return what such a device calls itself."""
    words = dice.choice(HELOS.get(category, HELOS["business"]))
    return words.format(mac=dice.hex(6).upper(), n=dice.randrange(1, 40))

"""`authsunset demo`: the whole pipeline over the sample data, into a folder."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import click

from pipeline.cli.output import Screen, print_rows, printable

PROBLEMS = ("refused", "partly_refused", "went_silent", "regressed", "does_still")

LOGS_END = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
"""The demo's clock stands where its logs end, so that it says the same on any day."""

SETTINGS = """\
# What `authsunset demo` ran with. Try: authsunset -c {settings} senders

[lake]
folder = "{folder}/lake"

[tenant]
domains = ["contoso.example", "fabrikam.example"]

[source.relay01]                # a Postfix relay, rotated and compressed in the middle
kind = "files"
paths = ["{samples}/relay01/mail.iso.log*"]
zone = "UTC"

[source.relay02]                # another one, with smtp_sasl_auth_soft_bounce = no
kind = "files"
paths = ["{samples}/relay02/mail.iso.log"]
zone = "UTC"

[source.exchange]               # an on-premises Exchange Server that still logs in with a password
kind = "files"
paths = ["{samples}/demo/SEND*.LOG"]
zone = "UTC"

[source.smtp_auth_report]       # the requested report of SMTP AUTH clients
kind = "files"
paths = ["{samples}/demo/SmtpCSReport.csv"]
zone = "UTC"

[channel.oncall]
kind = "email"
folder = "{folder}/mail"
sender = "authsunset@contoso.example"
to = ["oncall@contoso.example"]
"""


@click.command()
@click.option(
    "--into",
    "into",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="The folder; what an earlier demo left there is replaced.",
)
@click.pass_obj
def demo(screen: Screen, into: Path) -> None:
    """Run the whole pipeline over the sample data; print what it finds and where the messages are."""
    from pipeline.cli.setting import tell
    from pipeline.lake import Lake
    from pipeline.service import Service
    from pipeline.settings import load
    from queries.states import senders

    folder = into.resolve()
    settings = _prepare(folder)
    service = Service(load(settings), now=lambda: LOGS_END)
    with service.lake() as lake:
        tell(screen, service.cycle(lake))
    with Lake.open(folder / "lake", read_only=True) as lake:
        rows = senders(lake, PROBLEMS)
    print_rows(
        rows,
        "table",
        columns=("sender", "state", "since", "because", "mails_in_30_days", "devices"),
        no_color=screen.no_color,
        title=f"{len(rows)} senders with a problem",
    )
    mails = sorted((folder / "mail").glob("*.eml"))
    click.echo(f"{len(mails)} messages in {into / 'mail'}; open one with a mail program, or its page in a browser:")
    for page in _pages(folder, mails)[:3]:
        click.echo(f"  {printable(str(into / page.relative_to(folder)))}")
    click.echo(f"Go on with: authsunset -c {into / 'authsunset.toml'} senders")


def samples() -> Path:
    """Return the folder of sample data: beside the packages in a checkout, inside them when installed."""
    inside = Path(str(files("pipeline"))) / "sample_data"
    return inside if inside.is_dir() else Path(str(files("pipeline"))).parent / "sample_data"


def _prepare(folder: Path) -> Path:
    settings = folder / "authsunset.toml"
    if folder.exists() and any(folder.iterdir()) and not settings.exists():
        raise click.UsageError(f"{folder} holds something that no demo has left there; name another folder with --into")
    for left in ("lake", "mail", "pages"):
        shutil.rmtree(folder / left, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(
        SETTINGS.format(folder=folder.as_posix(), samples=samples().as_posix(), settings=settings.as_posix()), "utf-8"
    )
    return settings


def _pages(folder: Path, mails: list[Path]) -> list[Path]:
    """Write the HTML part of each mail as a page of its own, for those without a mail program at hand."""
    import email
    import email.policy

    pages = folder / "pages"
    pages.mkdir(exist_ok=True)
    written = []
    for path in mails:
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = mail.get_body(("html",))
        if body:
            page = pages / f"{path.stem}.html"
            page.write_text(body.get_content(), "utf-8")
            written.append(page)
    return written

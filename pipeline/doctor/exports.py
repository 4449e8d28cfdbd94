"""How old what others deliver is, and how to have it delivered every day: what has no API is exported by a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.doctor.facts import quoted
from pipeline.doctor.result import Group, Result, Topic
from pipeline.needs import Age

JOB = "deploy/export-job.ps1"


def ages(source: str, found: Iterable[Age], now: datetime, tenant: str = "") -> Iterator[Result]:
    """Yield how old each export of `source` is; `tenant` goes into the commands."""
    for age in found:
        yield _one(Topic(Group.SOURCES, "export", f"{source}: {age.what}"), age, now, tenant)


def schedule(folder: Path, tenant: str = "") -> str:
    """Return how to run the export job into `folder` each day, for cron and for the scheduler of Windows."""
    organization = tenant if "." in tenant else "contoso.onmicrosoft.com"
    options = f"-Organization {organization} -AppId APP-ID"
    on_linux = f"-Folder {quoted(folder)} {options} -CertificateFilePath /etc/authsunset/export-job.pfx"
    on_windows = f"-Folder FOLDER {options} -CertificateThumbprint THUMBPRINT"
    return (
        "run the export job every day, or save the report there by hand; deploy/export-job.md has each step\n"
        "with cron:\n"
        f"17 5 * * * pwsh -NoProfile -NonInteractive -File /opt/authsunset/{JOB} {on_linux}\n"
        "on Windows, with FOLDER a share that ends here:\n"
        'schtasks /Create /TN "authsunset export job" /SC DAILY /ST 05:17 /RU DOMAIN\\USER /RP * '
        f'/TR "powershell -NoP -NonI -ep Bypass -File C:\\authsunset\\export-job.ps1 {on_windows}"'
    )


def _one(topic: Topic, age: Age, now: datetime, tenant: str) -> Result:
    if age.written_at is None:
        return topic.broken(f"nothing has been delivered into {age.folder} yet", schedule(age.folder, tenant))
    since = now - age.written_at
    found = f"the newest in {age.folder} is {_span(since)} old"
    if since > age.limit:
        return topic.broken(f"{found}, and {_span(age.limit)} are allowed", schedule(age.folder, tenant))
    return topic.ok(found)


def _span(span: timedelta) -> str:
    hours = max(0.0, span.total_seconds() / 3600)
    if hours < 1:
        return f"{hours * 60:.0f} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"

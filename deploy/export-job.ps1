<#
.SYNOPSIS
Export what Exchange Online tells through no API into a folder that authsunset reads. Nothing in the tenant is changed.

.DESCRIPTION
Writes one CSV each for the switches of mailboxes (Get-CASMailbox), the policies of users (Get-User), the authentication
policies (Get-AuthenticationPolicy), and the tenant's own switches (Get-TransportConfig, Get-OrganizationConfig).

With -NotifyAddress it also asks for the report that names who logs in by SMTP with a password (SmtpCSReport), at most
once a day. That report has no API: Microsoft mails a link to that address some hours later, and a person must open it
and save the file into the folder. See deploy/export-job.md.

A file is written under a hidden name and renamed when it is whole, so nobody reads half of it. It is UTF-8 with a byte
order mark. An empty SmtpClientAuthenticationDisabled is kept empty: that mailbox inherits the tenant's switch. No
column holds a time, and names of files are in UTC, so no locale matters.

Works in Windows PowerShell 5.1 and in PowerShell 7 on Windows and Linux, with ExchangeOnlineManagement 3.2 or newer.

The log-in is that of an application, by certificate or managed identity. It needs the application permission
Exchange.ManageAsApp of Office 365 Exchange Online, and the role group View-Only Organization Management. The session
loads the reading cmdlets alone.

.PARAMETER Folder
The folder that authsunset reads, such as that of its drop_folder source. It must exist.

.PARAMETER Organization
The tenant by its first domain, such as contoso.onmicrosoft.com.

.PARAMETER AppId
The application (client) id of the app registration.

.PARAMETER CertificateThumbprint
The certificate in the personal store of the user that runs this. On Windows only.

.PARAMETER CertificateFilePath
The certificate with its private key in a PFX file.

.PARAMETER CertificatePasswordVariable
The NAME of the environment variable that holds the password of the PFX file, never the password.

.PARAMETER ManagedIdentity
Log in as the managed identity of this Azure machine or function.

.PARAMETER ManagedIdentityAccountId
The client id of a user-assigned managed identity.

.PARAMETER NotifyAddress
Ask for the SmtpCSReport too, and have Microsoft tell this address, in a domain of the tenant, when it is ready.

.PARAMETER Days
How many whole days (UTC) the SmtpCSReport covers, up to yesterday. Microsoft cuts it at 100,000 lines.

.EXAMPLE
pwsh -NoProfile -NonInteractive -File export-job.ps1 -Folder /srv/exports -Organization contoso.onmicrosoft.com `
  -AppId 00000000-0000-0000-0000-000000000000 -CertificateFilePath /etc/authsunset/export-job.pfx

.EXAMPLE
powershell.exe -NoProfile -NonInteractive -File export-job.ps1 -Folder \\files\exports `
  -Organization contoso.onmicrosoft.com -AppId 00000000-0000-0000-0000-000000000000 `
  -CertificateThumbprint 0000000000000000000000000000000000000000 -NotifyAddress mailadmin@contoso.example

.NOTES
Exit codes: 0 everything was exported; 1 something failed, the rest was exported; 2 the folder or the module is not
there; 3 no log-in. A parameter that is missing ends PowerShell with 1.
#>
#Requires -Version 5.1
[CmdletBinding(DefaultParameterSetName = 'Thumbprint')]
param(
    [Parameter(Mandatory = $true)]
    [string] $Folder,

    [Parameter(Mandatory = $true)]
    [string] $Organization,

    [Parameter(Mandatory = $true, ParameterSetName = 'Thumbprint')]
    [Parameter(Mandatory = $true, ParameterSetName = 'File')]
    [string] $AppId,

    [Parameter(Mandatory = $true, ParameterSetName = 'Thumbprint')]
    [string] $CertificateThumbprint,

    [Parameter(Mandatory = $true, ParameterSetName = 'File')]
    [string] $CertificateFilePath,

    [Parameter(ParameterSetName = 'File')]
    [string] $CertificatePasswordVariable = '',

    [Parameter(Mandatory = $true, ParameterSetName = 'Identity')]
    [switch] $ManagedIdentity,

    [Parameter(ParameterSetName = 'Identity')]
    [string] $ManagedIdentityAccountId = '',

    [string] $NotifyAddress = '',

    [ValidateRange(1, 10)]
    [int] $Days = 2
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$Title = 'authsunset SmtpCSReport'
$MostSearches = 240    # of the 250 that Microsoft takes in 24 hours; the rest is for people
$Mailboxes = @('UserMailbox', 'SharedMailbox', 'RoomMailbox', 'EquipmentMailbox')
$Failures = 0

# Columns stand in the order in which they are written; the first object must have the property in MustHave, because
# one that a role hides would otherwise look like a switch that nobody has set.
$Exports = @(
    @{
        Name = 'casmailbox'
        Columns = @('PrimarySmtpAddress', 'SmtpClientAuthenticationDisabled')
        MustHave = 'SmtpClientAuthenticationDisabled'
        MayBeEmpty = $false
        Read = { Get-CASMailbox -ResultSize Unlimited }
    },
    @{
        Name = 'user'
        Columns = @('UserPrincipalName', 'WindowsEmailAddress', 'RecipientTypeDetails', 'AuthenticationPolicy')
        MustHave = 'AuthenticationPolicy'
        MayBeEmpty = $false
        Read = { Get-User -ResultSize Unlimited -RecipientTypeDetails $Mailboxes }
    },
    @{
        Name = 'authenticationpolicy'
        Columns = @('Name', 'AllowBasicAuthSmtp')
        MustHave = 'AllowBasicAuthSmtp'
        MayBeEmpty = $true
        Read = { Get-AuthenticationPolicy }
    },
    @{
        Name = 'transportconfig'
        Columns = @('Name', 'SmtpClientAuthenticationDisabled', 'AllowLegacyTLSClients')
        MustHave = 'SmtpClientAuthenticationDisabled'
        MayBeEmpty = $false
        Read = { Get-TransportConfig }
    },
    @{
        Name = 'organizationconfig'
        Columns = @('Name', 'DefaultAuthenticationPolicy')
        MustHave = 'DefaultAuthenticationPolicy'
        MayBeEmpty = $false
        Read = { Get-OrganizationConfig }
    }
)
$Cmdlets = @(
    'Get-CASMailbox', 'Get-User', 'Get-AuthenticationPolicy', 'Get-TransportConfig', 'Get-OrganizationConfig',
    'Get-HistoricalSearch', 'Start-HistoricalSearch'
)

function Write-Failure([string] $Sentence) {
    $first = ($Sentence -split "`r?`n")[0]
    if ($first.Length -gt 300) { $first = $first.Substring(0, 300) + '...' }
    [Console]::Error.WriteLine("export-job: $first")
}

function Get-Stamp([datetime] $Moment, [string] $Form) {
    $Moment.ToUniversalTime().ToString($Form, [System.Globalization.CultureInfo]::InvariantCulture)
}

function Get-Utc($Value) {
    # A time without a zone is Microsoft's, in UTC; PowerShell turns one with a zone into this machine's.
    $moment = [datetime] $Value
    if ($moment.Kind -eq [System.DateTimeKind]::Local) { $moment = $moment.ToUniversalTime() }
    $moment
}

function Save-Whole([string] $Name, [string[]] $Lines) {
    # The hidden name is always the same, so what an interrupted run has left is overwritten by the next one.
    $stamp = Get-Stamp -Moment ([datetime]::UtcNow) -Form "yyyyMMdd'T'HHmmss'Z'"
    $hidden = Join-Path $Folder ".$Name.csv.tmp"
    $whole = Join-Path $Folder "$Name-$stamp.csv"
    [System.IO.File]::WriteAllLines($hidden, $Lines, (New-Object System.Text.UTF8Encoding($true)))
    [System.IO.File]::Move($hidden, $whole)
    Split-Path -Leaf $whole
}

function Save-Export([hashtable] $Export) {
    $objects = @(& $Export.Read)
    if ($objects.Count -eq 0 -and -not $Export.MayBeEmpty) {
        throw 'Exchange Online returned nothing; see that the application is in View-Only Organization Management'
    }
    if ($objects.Count -gt 0 -and $objects[0].PSObject.Properties.Name -notcontains $Export.MustHave) {
        throw "Exchange Online returned no property $($Export.MustHave); see that the application's role shows it"
    }
    $lines = @('"' + ($Export.Columns -join '","') + '"')
    if ($objects.Count -gt 0) {
        $lines = @($objects | Select-Object -Property $Export.Columns | ConvertTo-Csv -NoTypeInformation)
    }
    $file = Save-Whole -Name $Export.Name -Lines $lines
    Write-Output "$file has $($objects.Count) rows"
}

function Request-SmtpReport {
    $now = [datetime]::UtcNow
    # Twenty hours, because a job that runs each day starts some seconds earlier on some days.
    $recent = @(Get-HistoricalSearch | Where-Object { (Get-Utc $_.SubmitDate) -gt $now.AddHours(-24) })
    $own = @($recent | Where-Object { $_.ReportTitle -like "$Title *" })
    $own = @($own | Where-Object { (Get-Utc $_.SubmitDate) -gt $now.AddHours(-20) })
    if ($own.Count -gt 0) {
        Write-Output 'the SmtpCSReport of today was asked for already'
        return
    }
    if ($recent.Count -ge $MostSearches) {
        throw "$($recent.Count) historical searches began within 24 hours, of 250 that are allowed; run this later"
    }
    $end = $now.Date
    $search = @{
        ReportTitle = "$Title $(Get-Stamp -Moment $now -Form 'yyyy-MM-dd')"
        ReportType = 'SmtpCSReport'
        StartDate = $end.AddDays(-$Days)
        EndDate = $end
        NotifyAddress = $NotifyAddress
    }
    $null = Start-HistoricalSearch @search
    Write-Output 'the SmtpCSReport was asked for; when the mail with its link comes, save the file into the folder'
}

function Connect-Tenant {
    $login = @{ Organization = $Organization; ShowBanner = $false; CommandName = $Cmdlets }
    if ($ManagedIdentity) {
        $login.ManagedIdentity = $true
        if ($ManagedIdentityAccountId) { $login.ManagedIdentityAccountId = $ManagedIdentityAccountId }
    }
    elseif ($CertificateFilePath) {
        $login.AppId = $AppId
        $login.CertificateFilePath = $CertificateFilePath
        if ($CertificatePasswordVariable) {
            $plain = [System.Environment]::GetEnvironmentVariable($CertificatePasswordVariable)
            if (-not $plain) { throw "the environment variable $CertificatePasswordVariable is not set" }
            $login.CertificatePassword = ConvertTo-SecureString -String $plain -AsPlainText -Force
        }
    }
    else {
        $login.AppId = $AppId
        $login.CertificateThumbprint = $CertificateThumbprint
    }
    Connect-ExchangeOnline @login
}

if (-not (Test-Path -LiteralPath $Folder -PathType Container)) {
    Write-Failure "there is no folder $Folder; make it, for a user that may write there"
    exit 2
}
$Folder = (Resolve-Path -LiteralPath $Folder).ProviderPath

try { Import-Module ExchangeOnlineManagement -MinimumVersion 3.2.0 }
catch {
    Write-Failure 'ExchangeOnlineManagement 3.2 is missing: Install-Module ExchangeOnlineManagement -Scope CurrentUser'
    exit 2
}

try { Connect-Tenant }
catch {
    Write-Failure "no log-in: $($_.Exception.Message)"
    exit 3
}

try {
    foreach ($export in $Exports) {
        try { Save-Export -Export $export }
        catch {
            $Failures++
            Write-Failure "$($export.Name): $($_.Exception.Message)"
        }
    }
    if ($NotifyAddress) {
        try { Request-SmtpReport }
        catch {
            $Failures++
            Write-Failure "SmtpCSReport: $($_.Exception.Message)"
        }
    }
}
finally {
    Disconnect-ExchangeOnline -Confirm:$false
}

if ($Failures -gt 0) { exit 1 }
exit 0

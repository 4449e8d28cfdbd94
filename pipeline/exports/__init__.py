"""What exports from Microsoft's portals and PowerShell share: tables, locales, lists, records of JSON."""

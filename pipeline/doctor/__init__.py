"""
What authsunset needs, looked at: settings, machine, lake, Microsoft, sources, channels.

Each file is one kind of check: a decision over facts that are handed in, and beside it how the facts are come by.
Nothing is changed anywhere, no message is sent, and no secret is shown: of an address only the host, of a token only
the names of its roles. What is particular to a source or channel stands in that one's file (`pipeline/needs.py`).
"""

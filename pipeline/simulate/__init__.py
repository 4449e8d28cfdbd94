"""
A tenant with known truth: senders, their devices, Exchange Online before and after the cutover, and what is written of
it all in the formats that are read elsewhere.

It is what detections are measured against, so it knows nothing of them: of the project only `pipeline.errors` may be
imported here (`tests/simulate/test_independence.py`). What the words of the truth mean stands in `docs/simulate.md`.
"""

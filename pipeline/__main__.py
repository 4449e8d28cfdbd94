"""`python -m pipeline` is `authsunset`."""

from pipeline.cli import main

if __name__ == "__main__":
    main()

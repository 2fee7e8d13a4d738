"""`python -m detector` is `detect-spin`."""

from detector.cli import main

if __name__ == "__main__":
    main()

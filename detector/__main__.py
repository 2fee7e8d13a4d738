"""`python -m detector` is `detect-spin`."""

from detector.script import detect_spin

if __name__ == "__main__":
    detect_spin()

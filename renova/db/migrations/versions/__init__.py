"""One file per revision: 0001_first.py, 0002_….py."""

"""The Compute API: what a client sends and sees. README.md beside this file says how it is written."""

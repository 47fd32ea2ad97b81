"""What a server is and what may happen to it, as transactions on the database.

The API calls the functions that begin something, the agent those that end it. Nothing here opens a file of a
host, speaks to QEMU or knows HTTP.
"""

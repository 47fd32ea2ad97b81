"""The host: whatever runs on the machine that holds the disks. Nothing of the API is imported here."""

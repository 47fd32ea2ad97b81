"""The host: what really happens to a server. One agent per host, which owns that host's virtual machines."""

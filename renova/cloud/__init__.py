"""The embedded cloud: PostgreSQL, Keystone and Glance on one machine, and what keeps them running."""

"""The Compute API: what a client sends and sees. A handler reads policy, schema, compute, view, status; nothing else."""

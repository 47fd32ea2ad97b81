"""The database: tables, migrations and the session. Nothing here knows what a rebuild is."""

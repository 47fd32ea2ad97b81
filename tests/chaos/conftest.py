"""A database and a scratch host for the checker, a cloud of its own for a slice of the table."""

from tests.conftest import open_directory
from tests.functional.conftest import database, postgres, template

# A fixture is found by its name here. The directory is one more, for a PostgreSQL of these tests' own.
__all__ = ["database", "open_directory", "postgres", "template"]

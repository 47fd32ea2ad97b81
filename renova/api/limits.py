"""limits."""

from renova.api.requests import Routes

routes = Routes()

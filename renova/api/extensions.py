"""`GET /extensions`: a list that Nova froze long ago. Clients of old look in it for what today is always
there.
"""

from renova.api.errors import NotFound
from renova.api.requests import Answer, Call, Routes

routes = Routes()


@routes.on("GET", "/extensions")
async def index(_: Call) -> Answer:
    """Empty: what we serve is told by microversions and by docs/compatibility.md, not by extensions."""
    return Answer({"extensions": []})


@routes.on("GET", "/extensions/{alias}")
async def show(_: Call) -> Answer:
    raise NotFound()

"""`GET /extensions`, which Nova froze long ago; old clients look in it for what is always there today."""

from renova.api.errors import NotFound
from renova.api.forms import NEVER
from renova.api.requests import Answer, Call, Routes

routes = Routes()


@routes.on("GET", "/extensions", answer={"extensions": list[dict[str, str]]})
async def index(_: Call) -> Answer:
    """Empty: what we serve is told by microversions and by docs/compatibility.md, not by extensions."""
    return Answer({"extensions": []})


@routes.on("GET", "/extensions/{alias}", status=NEVER)
async def show(_: Call) -> Answer:
    raise NotFound()

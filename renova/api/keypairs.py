"""Key pairs. Source: Nova's API reference, "Keypairs (keypairs)"."""

from renova.api.forms import NEXT, Changed
from renova.api.microversions import Change
from renova.api.policies import KEYPAIRS
from renova.api.requests import Answer, Call, Routes
from renova.api.schemas.keypairs import CreateKeyPair, ListKeyPairs, OfUser
from renova.api.views.keypairs import KeyPairBrief, KeyPairView, NewKeyPairView
from renova.compute import key_pairs
from renova.compute.quotas import Limits

routes = Routes()

HONEST_STATUSES = Change("2.2", "POST answers 201 instead of 200, DELETE 204 instead of 202")


@routes.on(
    "GET",
    "/os-keypairs",
    query=ListKeyPairs,
    answer={"keypairs": [{"keypair": KeyPairBrief}], "keypairs_links": NEXT},
)
async def index(call: Call) -> Answer:
    query = call.query(ListKeyPairs)
    user_id = query.user_id or call.caller.user_id
    call.can(KEYPAIRS + "index", user_id=user_id)
    page = call.page(query)
    async with call.reading() as session:
        found = await key_pairs.list_key_pairs(session, user_id, page)
    return Answer(
        {
            "keypairs": [{"keypair": KeyPairBrief.of(key_pair)} for key_pair in found],
            **call.next_links("os-keypairs", page, [key_pair.name for key_pair in found]),
        }
    )


@routes.on(
    "POST",
    "/os-keypairs",
    body=CreateKeyPair,
    status=Changed(HONEST_STATUSES, 200, 201),
    answer={"keypair": NewKeyPairView},
)
async def create(call: Call) -> Answer:
    asked = call.parse(CreateKeyPair).keypair
    user_id = asked.user_id or call.caller.user_id
    call.can(KEYPAIRS + "create", user_id=user_id)
    made = await key_pairs.generate(asked.type, user_id) if asked.public_key is None else None
    async with call.transaction() as session:
        key_pair = await key_pairs.add_key_pair(
            session,
            Limits.of(call.parts.conf),
            call.caller.project_id,
            user_id=user_id,
            name=asked.name,
            kind=asked.type,
            public_key=made.public if made else asked.public_key or "",
        )
    secret = {"private_key": made.private} if made else {}
    view = NewKeyPairView.of(key_pair, user_id=user_id, **secret)
    return Answer({"keypair": view})


@routes.on("GET", "/os-keypairs/{name}", query=OfUser, answer={"keypair": KeyPairView})
async def show(call: Call) -> Answer:
    user_id = call.query(OfUser).user_id or call.caller.user_id
    call.can(KEYPAIRS + "show", user_id=user_id)
    async with call.reading() as session:
        key_pair = await key_pairs.find_key_pair(session, user_id, call.path["name"])
    return Answer({"keypair": KeyPairView.of(key_pair)})


@routes.on("DELETE", "/os-keypairs/{name}", query=OfUser, status=Changed(HONEST_STATUSES, 202, 204))
async def delete(call: Call) -> Answer:
    user_id = call.query(OfUser).user_id or call.caller.user_id
    call.can(KEYPAIRS + "delete", user_id=user_id)
    async with call.transaction() as session:
        await key_pairs.delete_key_pair(session, user_id, call.path["name"])
    return Answer()

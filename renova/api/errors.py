"""Nova's error answers: an envelope named after the status, a sentence, and nothing of our insides.

Source: `_fault_names` of Nova's API layer and its API guide, "Faults". Every way in which a request can fail
ends here.
"""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from renova import errors
from renova.db.session import DATABASE_AWAY

log = logging.getLogger(__name__)

FAULT_NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}
RETRY_AFTER = 5  # Seconds that a client is asked to wait when something that we stand on does not answer.


class NotFound(errors.NotFound):
    """The resource could not be found."""


class MethodNotAllowed(errors.RenovaError):
    """The path exists, but not with this method."""

    code: ClassVar[int] = 405

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(f"The method {method} is not allowed for this resource.")
        self.allowed = allowed


class NotAcceptable(errors.RenovaError):
    """The microversion is well formed, but not one that we speak."""

    code: ClassVar[int] = 406


class TooLarge(errors.RenovaError):
    """Request is too large."""

    code: ClassVar[int] = 413


class UnsupportedMediaType(errors.RenovaError):
    """Unsupported Content-Type"""

    code: ClassVar[int] = 415


class MalformedBody(errors.Invalid):
    """Malformed request body"""


class NoSuchAction(errors.Invalid):
    """The body names an action that there is none of."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no such action: {name}")


def answer(error: Exception, request_id: str, identity_uri: str | None) -> JSONResponse:
    """The answer to a request that `error` ended. What nobody foresaw shows nothing but the request's id.

    `identity_uri` is where a client whose token is refused gets a new one.
    """
    if isinstance(error, errors.Unauthenticated):
        # In a Nova cloud it is Keystone's middleware that answers these, in an envelope of its own.
        body = {"error": {"code": 401, "title": "Unauthorized", "message": error.message}}
        return JSONResponse(body, 401, {"WWW-Authenticate": f'Keystone uri="{identity_uri or ""}"'})
    if isinstance(error, ClientDisconnect):
        return envelope(400, "The client went away.")
    if isinstance(error, DATABASE_AWAY):
        log.error("%s: the database does not answer: %s", request_id, error)
        error = errors.Unavailable()
    if not isinstance(error, errors.RenovaError) or error.code not in {*FAULT_NAMES, 406}:
        log.error("%s: unexpected error", request_id, exc_info=error)
        return envelope(500, f"Unexpected API Error. Please report it with the request id {request_id}.")
    headers = {}
    if error.code == 503:
        headers["Retry-After"] = str(RETRY_AFTER)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    return envelope(error.code, error.message, headers)


def envelope(code: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    name = FAULT_NAMES.get(code, "computeFault")
    return JSONResponse({name: {"code": code, "message": message}}, code, headers)


def sentence(error: ValidationError, sent: Any, names: Mapping[str, str], *, of: str) -> str:
    """What Nova's schema validator would say of the same input: "Invalid input for field/attribute name.
    Value: …".

    Of several mistakes the one nearest to the top of the body is told, as there. `names` says what the fields
    of the model are called in JSON.
    """
    mistakes = [
        (*_place(mistake["loc"], sent, names), mistake) for mistake in error.errors(include_url=False)
    ]
    path, value, of_a_union, mistake = min(mistakes, key=lambda found: len(found[0]))
    if mistake["type"] == "name":
        return _message(mistake)
    message = f"{value!r} is not valid under any of the given schemas" if of_a_union else _message(mistake)
    if not path:
        return message
    return f"Invalid input for {of} {path[0 if of == 'query parameters' else -1]}. Value: {value}. {message}"


def _place(
    loc: tuple[int | str, ...], sent: Any, names: Mapping[str, str]
) -> tuple[list[int | str], Any, bool]:
    """Where in the body pydantic's location leads: the path, the value there, and whether a union ended it.

    What follows a union in a location names its branches, not parts of the body.
    """
    path: list[int | str] = []
    for part in loc:
        for step in (part, names.get(part, part) if isinstance(part, str) else part):
            try:
                sent = sent[step]
            except (KeyError, IndexError, TypeError):
                continue
            path.append(step)
            break
        else:
            return path, sent, True
    return path, sent, False


def _message(mistake: Any) -> str:
    facts = dict(mistake.get("ctx", {}))
    names = facts.get("names", [])
    if mistake["type"] == "missing":
        return f"{names[0]!r} is a required property"
    if mistake["type"] == "extra_forbidden":
        verb = "was" if len(names) == 1 else "were"
        return f"Additional properties are not allowed ({', '.join(map(repr, names))} {verb} unexpected)"
    if "expected" in facts:
        facts["expected"] = facts["expected"].replace(" or ", ", ")
    kind = mistake["type"]
    if kind in {"too_short", "too_long"} and isinstance(mistake["input"], dict):
        kind += "_object"
    template: str = _SENTENCES.get(kind, mistake["msg"].replace("{", "{{").replace("}", "}}"))
    return template.format(value=repr(mistake["input"]), **facts)


# What is wrong, by pydantic's name for it, in the words of the validator that Nova uses. Ours have their own.
_SENTENCES = {
    "string_too_short": "{value} is too short",
    "string_too_long": "{value} is too long",
    "too_short": "{value} is too short",
    "too_long": "{value} is too long",
    "too_short_object": "{value} does not have enough properties",
    "too_long_object": "{value} has too many properties",
    "string_pattern_mismatch": "{value} does not match {pattern!r}",
    "literal_error": "{value} is not one of [{expected}]",
    "greater_than_equal": "{value} is less than the minimum of {ge}",
    "greater_than": "{value} is less than or equal to the minimum of {gt}",
    "less_than_equal": "{value} is greater than the maximum of {le}",
    **{
        kind: f"{{value}} is not of type '{name}'"
        for kind, name in {
            "string_type": "string",
            "int_type": "integer",
            "float_type": "number",
            "bool_type": "boolean",
            "list_type": "array",
            "dict_type": "object",
            "model_type": "object",
            "none_required": "null",
        }.items()
    },
}

"""ECR's pagination: page sizes, opaque tokens, and requests that cannot be paginated."""

import base64
import json
from bisect import bisect_right
from typing import Any

from local.registry.ecr_errors import refuse_parameter

DEFAULT_SIZE = 100
LARGEST_SIZE = 1000
MOST_SELECTED = 100


def page(
    scope: str,
    keys: list[str],
    request: dict[str, Any],
    *,
    most: int = LARGEST_SIZE,
    shifts: bool = False,
) -> tuple[list[str], dict[str, str]]:
    """Return a page of sorted keys, and a `nextToken` if there are more.

    A token contains the last key, so a deletion between two pages skips no other item. If the
    listing shifts, it contains the last but one: the next page begins with the last key again.
    """
    size = request.get("maxResults", DEFAULT_SIZE)
    if not 1 <= size <= LARGEST_SIZE:
        refuse_parameter("maxResults", f"Member must be between 1 and {LARGEST_SIZE}")
    size = min(size, most)
    last = _last_key(scope, request["nextToken"]) if "nextToken" in request else ""
    rest = keys[bisect_right(keys, last) :]
    if len(rest) <= size:
        return rest, {}
    last_on_page = size - 2 if shifts and size > 1 else size - 1
    return rest[:size], {"nextToken": _token(scope, rest[last_on_page])}


def refuse_paging(selector: str, selected: list[Any], request: dict[str, Any]) -> None:
    """Enforce ECR's rule that a request with explicit selectors cannot be paginated."""
    if not 1 <= len(selected) <= MOST_SELECTED:
        refuse_parameter(selector, f"Member must have length between 1 and {MOST_SELECTED}")
    for member in ("nextToken", "maxResults"):
        if member in request:
            refuse_parameter(member, f"Member cannot be used together with {selector}")


def _token(scope: str, key: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([scope, key]).encode()).decode()


def _last_key(scope: str, token: str) -> str:
    try:
        issued_for, key = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (ValueError, TypeError):
        issued_for, key = None, None
    if issued_for != scope or not isinstance(key, str):
        refuse_parameter("nextToken", "Member must be a token of this listing")
    return key

"""What goes over the wire to a webhook."""

import json

from runtime.messages import Json


def wire(content: Json) -> bytes:
    """Write JSON as UTF-8: with escapes instead, an emoji would take 12 bytes and not 4."""
    return json.dumps(content, ensure_ascii=False).encode()

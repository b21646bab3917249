"""The events that ecr-rescan sends to the default event bus, as types."""

SOURCE = "ecr-rescan"

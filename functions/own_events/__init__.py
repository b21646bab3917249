"""The events that the workflows of ecr-rescan send each other, as types."""

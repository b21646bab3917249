"""YAML as CloudFormation reads it: no alias, no merge key, no key twice."""

from pathlib import Path
from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """Refuses what PyYAML forgives and Step Functions does not."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias, which CloudFormation would pass on unresolved")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a duplicate key: PyYAML silently keeps the last one."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"{key!r} stands twice: {node.start_mark}")
        return super().construct_mapping(node, deep)


def load(path: Path) -> Any:
    """Read a YAML file strictly."""
    return yaml.load(path.read_text(), StrictLoader)

"""The stack that NotifyScan belongs to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OwnStack:
    """The stack, with what it knows of itself. rescan_registry: ARN of the state machine."""

    rescan_registry: str

    @property
    def region(self) -> str:
        """Return the Region of the stack and of its registry."""
        return self.rescan_registry.split(":")[3]

    @property
    def account(self) -> str:
        """Return the account of the stack and of its registry."""
        return self.rescan_registry.split(":")[4]

    def execution(self, run: str) -> str:
        """Return the ARN of a run."""
        return f"{self.rescan_registry.replace(':stateMachine:', ':execution:', 1)}:{run}"

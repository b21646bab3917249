"""The account and the region that the local cloud plays."""

from local.registry.registry_contents import RegistrySettings

ACCOUNT = RegistrySettings().account
REGION = RegistrySettings().region
# localemu takes an access key of twelve digits for the account that it belongs to.
DEPLOYER_ACCESS_KEY = ACCOUNT

"""The account and the Region of the local cloud."""

from local.registry.registry_contents import RegistrySettings

ACCOUNT = RegistrySettings().account
REGION = RegistrySettings().region
# localemu reads an access key of twelve digits as the ID of its account.
DEPLOYER_ACCESS_KEY = ACCOUNT

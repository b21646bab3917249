"""Part of `make publish`: add what only a release knows to the template that was built.

`python -m operations.publishable TEMPLATE TARGET HOME-PAGE-URL SOURCE-CODE-URL` writes the template
for the AWS Serverless Application Repository, which shows both addresses.
"""

import json
import sys
from pathlib import Path

import yaml


def make_publishable(template: Path, target: Path, home_page: str, source_code: str) -> None:
    """Write the template with both addresses; raise SystemExit if one is not an address."""
    for name, url in (("HOME_PAGE_URL", home_page), ("SOURCE_CODE_URL", source_code)):
        if not url.startswith("https://"):
            raise SystemExit(f"{name} must be an address that begins with https://, not {url!r}.")
    document = yaml.safe_load(template.read_text())
    document["Metadata"]["AWS::ServerlessRepo::Application"] |= {
        "HomePageUrl": home_page,
        "SourceCodeUrl": source_code,
    }
    target.write_text(json.dumps(document))


if __name__ == "__main__":
    make_publishable(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:5])

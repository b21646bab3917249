"""Run ListRepositories and SummarizeRescan on 100,000 repositories, and measure what they need.

A process of its own, so that its memory is that of the function; the last arguments are how long
names are, and the file for what was measured: `python -m tests.support.full_size SummarizeRescan
100000 40 measured.json`. botocore does the same as on AWS; its HTTP requests are answered
here, by generators, so that answers take no memory.
"""

import importlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

PAGE = 1_000
RECORDS_A_PAGE = 1_000  # a megabyte, with the longest names
LONGEST_NAME = 256  # characters that ECR takes
RECORD_STATUS = {0: "FAILED", 1: "DEFERRED"}


class Answers:
    """Answers of AWS to the calls of a run over a number of repositories."""

    def __init__(self, repositories: int, length: int) -> None:
        self.repositories = repositories
        self.length = length
        self.calls: dict[str, int] = {}
        self.written: dict[str, int] = {}

    def answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Answer one HTTP request."""
        target: Any = request.headers.get("X-Amz-Target", b"")
        operation = target.decode().rpartition(".")[2] or request.method
        self.calls[operation] = self.calls.get(operation, 0) + 1
        raw: Any = Raw(self._body(operation, request))
        return AWSResponse(request.url, 200, HTTPHeaders(), raw)

    def _body(self, operation: str, request: AWSPreparedRequest) -> Iterator[bytes]:
        asked: Any = request.body
        match operation:
            case "GetRegistryScanningConfiguration":
                yield b'{"scanningConfiguration": {"scanType": "BASIC"}}'
            case "DescribeRepositories":
                yield self._repositories(json.loads(asked).get("nextToken"))
            case "Query":
                yield self._records(json.loads(asked).get("ExclusiveStartKey"))
            case "GET":
                yield from self._list()
            case "PUT":
                size = 0
                while part := asked.read(64 * 1024):
                    size += len(part)
                self.written[urlsplit(request.url).path] = size
            case "PutEvents":
                yield b'{"FailedEntryCount": 0, "Entries": [{"EventId": "any"}]}'
            case _:
                yield b"{}"

    def _name(self, number: int) -> str:
        return f"{number:06}".rjust(self.length, "n")

    def _list(self) -> Iterator[bytes]:
        yield b"["
        for number in range(self.repositories):
            comma = "," if number else ""
            yield f'{comma}\n "{self._name(number)}"'.encode()
        yield b"\n]"

    def _page(self, start: int, size: int) -> Iterator[tuple[int, str]]:
        for number in range(start, min(start + size, self.repositories)):
            yield number, self._name(number)

    def _repositories(self, token: str | None) -> bytes:
        start = int(token or 0)
        page = {
            "repositories": [
                {
                    "repositoryArn": f"arn:aws:ecr:eu-central-1:123456789012:repository/{name}",
                    "registryId": "123456789012",
                    "repositoryName": name,
                    "repositoryUri": f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/{name}",
                    "createdAt": 1764000000.0,
                    "imageTagMutability": "IMMUTABLE",
                    "imageScanningConfiguration": {"scanOnPush": True},
                    "encryptionConfiguration": {"encryptionType": "AES256"},
                }
                for _, name in self._page(start, PAGE)
            ]
        }
        more = {"nextToken": str(start + PAGE)} if start + PAGE < self.repositories else {}
        return json.dumps(page | more).encode()

    def _oldest(self, name: str, image: int) -> dict[str, object]:
        return {
            "M": {
                "repository": {"S": name},
                "image_digest": {"S": f"sha256:{image:064x}"},
                "at": {"S": "2026-03-05T03:00:00+00:00"},
            }
        }

    def _records(self, key: Any) -> bytes:
        start = int(key["at"]["N"]) if key else 0
        items = [
            {
                "pk": {"S": "run#run-1"},
                "sk": {"S": f"repository#{name}"},
                "status": {"S": RECORD_STATUS.get(number % 10, "FINISHED")},
                "started_at": {"S": "2026-03-14T03:00:00+00:00"},
                "ended_at": {"S": "2026-03-14T03:00:10+00:00"},
                "images": {
                    "M": {
                        "STARTED": {"M": {"accepted": {"N": "10"}}},
                        "FRESH": {"M": {"scanned within RescanAfter": {"N": "90"}}},
                    }
                },
                "freshness": {
                    "M": {
                        "scannable": {"N": "100"},
                        "overdue": {"N": "1"},
                        "never": {"N": "0"},
                        "oldest_at": {"S": "2026-03-05T03:00:00+00:00"},
                        "oldest": {"L": [self._oldest(name, number)]},
                        "severities": {"M": {"CRITICAL": {"N": "3"}, "HIGH": {"N": "20"}}},
                        "images_with": {"M": {"CRITICAL": {"N": "1"}, "HIGH": {"N": "9"}}},
                    }
                },
                "results_missing": {"N": "0"},
                "results_found": {"N": "0"},
                "error": {"S": "AccessDenied"},
                "cause": {"S": f"DescribeImages of {name}: the role may not"},
                "expires_at": {"N": "1776000000"},
            }
            for number, name in self._page(start, RECORDS_A_PAGE)
        ]
        page: dict[str, Any] = {"Items": items, "Count": len(items)}
        if start + RECORDS_A_PAGE < self.repositories:
            page["LastEvaluatedKey"] = {"at": {"N": str(start + RECORDS_A_PAGE)}}
        return json.dumps(page).encode()


class Raw:
    """A body as urllib3 hands it to botocore, which is made while it is read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._left = b""

    def read(self, amount: int | None = None) -> bytes:
        """Read some bytes, or all."""
        while amount is None or len(self._left) < amount:
            if not (part := next(self._parts, b"")):
                break
            self._left += part
        read, self._left = self._left[:amount], self._left[amount:] if amount else b""
        return read

    def stream(self, **_: object) -> Iterator[bytes]:
        """Read all in parts."""
        while part := self.read(64 * 1024):
            yield part

    def close(self) -> None:
        """End reading."""


EVENTS: dict[str, Callable[[int], Any]] = {
    "ListRepositories": lambda _: {"run": "run-1", "input": {}},
    "SummarizeRescan": lambda repositories: {
        "execution_arn": "arn:aws:states:eu-central-1:123456789012:execution:any:run-1",
        "started_at": "2026-03-14T03:00:00Z",
        "found": {
            "run": "run-1",
            "dry_run": False,
            "scan_type": "BASIC",
            "repositories": repositories,
            "choice": {"by": "PARAMETER", "pattern": "", "listed": repositories},
        },
    },
}
MODULES = {"ListRepositories": "list_repositories", "SummarizeRescan": "summarize_rescan"}


def main() -> None:
    """Invoke one function once; write its result, and what it took."""
    function, repositories, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    answers = Answers(repositories, length)
    boto3.setup_default_session()
    session: Any = boto3.DEFAULT_SESSION
    session.events.register("before-send", answers.answer)
    module = importlib.import_module(f"rescan_registry.{MODULES[function]}")
    context = LambdaContext()
    context._function_name = context._aws_request_id = context._invoked_function_arn = "any"
    context._memory_limit_in_mb = 256
    began = time.process_time()
    output = module.handler(EVENTS[function](repositories), context)
    measured = {
        "cpu_seconds": round(time.process_time() - began, 2),
        "megabytes": round(_peak()),
        "calls": answers.calls,
        "written": answers.written,
        "repositories": output["repositories"],
    }
    Path(sys.argv[4]).write_text(json.dumps(measured))


def _peak() -> float:
    # Not ru_maxrss, which a process takes over from the one that has started it.
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) / 1024


if __name__ == "__main__":
    main()

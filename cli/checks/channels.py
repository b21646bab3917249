"""Checks of the channels of notifications."""

import json
from collections.abc import Mapping, Sequence

from botocore.exceptions import ClientError

from cli.answers import set_parameter
from cli.aws_errors import NotAllowed, command_error
from cli.channels import USED_BY, secret_content, secret_file
from cli.checks.result import Result, State, fault, ok, unchecked, warn
from cli.exits import CommandError
from cli.shown_commands import aws
from cli.stack import Stack
from cli.subscriptions import Subscription, is_email, is_pending, subscriptions
from notify_scan.webhooks.secrets import WebhookSecretUnusable, secret_of
from reporting.channels.delivery import Channel
from reporting.channels.in_use import SECRET_PARAMETERS
from runtime.nouns import counted

ADDRESS = "you@example.com"  # in commands, for the operator to replace
_OPEN_THE_MAIL = 'Open the mail "AWS Notification - Subscription Confirmation" of this address.'
_VISIT_THE_URL = "Visit the SubscribeURL of the SubscriptionConfirmation that this endpoint got."
_NO_KEY = "Access to KMS is not allowed"  # says Secrets Manager, and not which action


def secrets(stack: Stack) -> list[Result]:
    """Check that the secret of each webhook can be read, and holds what its channel needs.

    Nothing of its content is in the result.
    """
    arns = {
        channel: arn
        for channel, name in SECRET_PARAMETERS.items()
        if (arn := stack.parameter(name))
    }
    checked = [_secret(stack, channel, arn) for channel, arn in arns.items()]
    problems = [each for each in checked if each.state is not State.OK]
    if problems:
        return problems
    return [ok(", ".join(each.found for each in checked) or "no channel needs one")]


def email(stack: Stack) -> list[Result]:
    """Check that email subscriptions are confirmed, and that a topic has subscribers at all."""
    topics = {
        "notifications": stack.outputs.get("NotificationTopicArn"),
        "chat applications": stack.outputs.get("ChatbotTopicArn"),
    }
    if not stack.parameter("AlarmTopicArn"):  # that of the stack, which has its own subscription
        topics["alarms"] = stack.output("AlarmDestinationArn")
    problems, confirmed = list[Result](), 0
    for what, topic in topics.items():
        if topic:
            found = subscriptions(stack, topic)
            problems += _of_topic(stack, what, topic, found)
            confirmed += sum(map(is_email, found))
    return problems or [ok(counted(confirmed, "confirmed subscription"))]


def subscribe(stack: Stack, topic: str, endpoint: str, protocol: str = "email") -> str:
    """Write the command that subscribes an endpoint, and sends the message to confirm it again."""
    return aws(
        stack,
        "sns subscribe",
        topic_arn=topic,
        protocol=protocol,
        notification_endpoint=endpoint,
    )


def _of_topic(stack: Stack, what: str, topic: str, found: Sequence[Subscription]) -> list[Result]:
    problems = [_pending(stack, what, topic, each) for each in found if is_pending(each)]
    address = stack.parameter("AlertEmail")
    if address and what != "chat applications":
        if all(each["Endpoint"] != address for each in found):
            lost = f"{address} (AlertEmail) is not subscribed to {what}"
            follows = f"this address gets no {what}."
            problems.append(fault(lost, follows, subscribe(stack, topic, address)))
    elif not found and what != "alarms":
        problems.append(_unread(stack, what, topic))
    return problems


def _pending(stack: Stack, what: str, topic: str, found: Subscription) -> Result:
    """Say how a subscription is confirmed; SNS sends what confirms it to the endpoint itself."""
    is_mail = is_email(found)
    return fault(
        f"{found['Endpoint']} has not confirmed {what}",
        f"this {'address' if is_mail else 'endpoint'} gets no {what}.",
        f"{_OPEN_THE_MAIL if is_mail else _VISIT_THE_URL} It is sent again by:",
        subscribe(stack, topic, found["Endpoint"], found["Protocol"]),
    )


def _unread(stack: Stack, what: str, topic: str) -> Result:
    """Say that a topic has no subscriber: a fault if there is no other channel."""
    found = f"the topic of {what} has no subscriber"
    if what == "chat applications":
        repair = "Add it to a channel configuration of Amazon Q Developer in chat applications:"
        return warn(found, "what is published there reaches no one.", repair, topic)
    named = (*SECRET_PARAMETERS.values(), USED_BY[Channel.EVENTBRIDGE][0])
    others = [name for name in named if stack.parameter(name)]
    repair = subscribe(stack, topic, ADDRESS)
    if others or stack.outputs.get("ChatbotTopicArn"):
        unused = set_parameter(stack, *USED_BY[Channel.SNS])
        return warn(found, "what is published there reaches no one.", repair, unused)
    return fault(found, "there is no other channel: notifications reach no one.", repair)


def _secret(stack: Stack, channel: Channel, arn: str) -> Result:
    follows = f"every message to {channel.lower()} is kept undelivered."
    manager = stack.client("secretsmanager")
    try:
        answer = manager.get_secret_value(SecretId=arn)
    except manager.exceptions.ResourceNotFoundException:
        return fault(
            f"the secret of {channel}, {arn}, does not exist",
            follows,
            _file(channel),
            aws(
                stack,
                "secretsmanager create-secret",
                name=f"{stack.name}/{channel.lower()}",
                secret_string=f"file://{secret_file(channel)}",
                query="ARN",
                output="text",
            ),
            set_parameter(stack, SECRET_PARAMETERS[channel], "the ARN that it prints"),
        )
    except manager.exceptions.InvalidRequestException:
        restore = aws(stack, "secretsmanager restore-secret", secret_id=arn)
        found = f"the secret of {channel}, {arn}, is marked for deletion"
        return fault(found, follows, restore)
    except ClientError as error:
        return unchecked(_refused(error), f"{channel.lower()}: ")
    try:
        secret_of(channel, _content(answer), answer["Name"])
    except WebhookSecretUnusable as error:
        put = aws(
            stack,
            "secretsmanager put-secret-value",
            secret_id=answer["Name"],
            secret_string=f"file://{secret_file(channel)}",
        )
        return fault(str(error), follows, _file(channel), put)
    return ok(f"{channel.lower()}")


def _content(answer: Mapping[str, str | bytes]) -> object:
    """Read the JSON of a secret; None if it is none. No error may have a part of it."""
    text = answer.get("SecretString", answer.get("SecretBinary", ""))
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content


def _file(channel: Channel) -> str:
    return f"Write {secret_content(channel)}, then:"


def _refused(error: ClientError) -> CommandError:
    """Return what a refusal means: of the secret, or of the key that it is encrypted with."""
    return NotAllowed("kms:Decrypt") if _NO_KEY in str(error) else command_error(error)

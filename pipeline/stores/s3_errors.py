"""What boto3 raises -> a `StoreError` that says what to do, without anything of a credential."""

from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
)
from botocore.parsers import ResponseParserError

from pipeline.stages.errors import ObjectExists, ObjectMissing, StoreError
from pipeline.stages.messages import without_credentials

PROXY_ADVICE = (
    "Something between this machine and the store answers in its place, such as a proxy or the "
    "sign-in page of a network: check the network and AWS_ENDPOINT_URL_S3."
)
UNREACHABLE_ADVICE = "Check the network, the region and AWS_ENDPOINT_URL_S3."
SIGN_IN_ADVICE = "Sign in: aws sso login, with the profile that AWS_PROFILE names."
LOGIN_ADVICE = "Sign in: aws login, with the profile that AWS_PROFILE names."
KEYS_ADVICE = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use an IAM role."
SOURCE_ADVICE = (
    "Ask that source for credentials by hand. What it answered is not shown: it may be secret."
)
CONFIG_ADVICE = "Check the files ~/.aws/config and ~/.aws/credentials."
REGION_ADVICE = "Check AWS_DEFAULT_REGION."
CONDITIONAL_ADVICE = (
    "A store needs them, or two trainings could overwrite each other's models: use AWS S3, or a "
    "server that answers the second PUT of a key with 412."
)
ADVICE = {
    "NoSuchBucket": "Check the name of the bucket and the region.",
    "PermanentRedirect": "The bucket is in another region: check AWS_DEFAULT_REGION.",
    "AuthorizationHeaderMalformed": REGION_ADVICE,
    "AccessDenied": "These credentials may not do this: check the policy of the user or role.",
    "403": "The credentials are wrong or may not do this: check the keys and the policy.",
    "404": "There is no such object, or no such bucket.",
    "InvalidAccessKeyId": "The access key is unknown: check AWS_ACCESS_KEY_ID.",
    "SignatureDoesNotMatch": "The secret key is wrong: check AWS_SECRET_ACCESS_KEY.",
    "ExpiredToken": "The session has expired: sign in again.",
    "ExpiredTokenException": "The session has expired: sign in again.",
    "InvalidToken": "Check AWS_SESSION_TOKEN.",
    "RequestTimeTooSkewed": "Set the clock of this machine right.",
    "NotImplemented": CONDITIONAL_ADVICE,
    "501": CONDITIONAL_ADVICE,
    "PreconditionFailed": "The object exists, and nothing is ever overwritten.",
    "ConditionalRequestConflict": "Somebody else is writing this object at the same moment.",
    "NoCredentialsError": KEYS_ADVICE,
    "PartialCredentialsError": KEYS_ADVICE,
    "UnknownCredentialError": CONFIG_ADVICE,
    "CredentialRetrievalError": SOURCE_ADVICE,
    "MetadataRetrievalError": SOURCE_ADVICE,
    "JSONDecodeError": "A credential_process should print JSON: run it by hand.",
    "RefreshWithMFAUnsupportedError": "Export a session: aws configure export-credentials.",
    "SSOError": SIGN_IN_ADVICE,
    "TokenRetrievalError": SIGN_IN_ADVICE,
    "NoAuthTokenError": SIGN_IN_ADVICE,
    "UnknownTokenProviderError": CONFIG_ADVICE,
    "LoginError": LOGIN_ADVICE,
    "MissingDependencyException": (
        'Sessions of aws login cannot be read here; export them: eval "$(aws configure '
        'export-credentials --format env)".'
    ),
    "ProfileNotFound": "Check AWS_PROFILE and the file of profiles, ~/.aws/config.",
    "ConfigParseError": CONFIG_ADVICE,
    "ConfigNotFound": CONFIG_ADVICE,
    "InvalidConfigError": CONFIG_ADVICE,
    "NoRegionError": REGION_ADVICE,
    "InvalidRegionError": REGION_ADVICE,
    "OSError": f"{CONFIG_ADVICE[:-1]}, AWS_WEB_IDENTITY_TOKEN_FILE and AWS_CA_BUNDLE.",
    "HTTPClientError": (
        "Is there a line break or a blank in AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN or "
        "AWS_DEFAULT_REGION?"
    ),
    "ConnectionError": UNREACHABLE_ADVICE,
    "ConnectTimeoutError": UNREACHABLE_ADVICE,
    "ConnectionClosedError": UNREACHABLE_ADVICE,
    "ReadTimeoutError": UNREACHABLE_ADVICE,
    "ParamValidationError": "Check the spelling of the bucket in STORE.",
    "IncompleteReadError": "The connection broke off each time: check the network.",
    "ResponseStreamingError": "The connection broke off each time: check the network.",
    "AnswerError": PROXY_ADVICE,
    "FlexibleChecksumError": PROXY_ADVICE,
    "ResponseParserError": PROXY_ADVICE,
    "ValueError": "Check AWS_ENDPOINT_URL_S3.",
}
"""What to do about an error, by the code that S3 gave or the name of an exception or its base."""

MISSING = {"NoSuchKey", "404"}
TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412"}

EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
"""Of a session; by now there may be a new one."""

UNCONDITIONAL = {"NotImplemented", "501"}

# A ValueError is how boto3 refuses an endpoint, and an OSError how it misses a file.
BOTO_ERRORS = (BotoCoreError, Boto3Error, ResponseParserError, ValueError, OSError)


class AnswerError(BotoCoreError):
    """An answer that cannot be the store's, or is not right."""

    fmt = "{reason}"


@contextmanager
def explained(attempt: str) -> Iterator[None]:
    """Turn what boto3 raises into a `StoreError` that says what was tried, why and what to do.

    The cause is not chained: a traceback would show its text, in which credentials may stand.
    """
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        raise _error_class(code)(_message(attempt, str(error), ADVICE.get(code, ""))) from None
    except BOTO_ERRORS as error:
        names = [kind.__name__ for kind in type(error).__mro__]
        advice = next((ADVICE[name] for name in names if name in ADVICE), "")
        raise StoreError(_message(attempt, _reason(error), advice)) from None


def _reason(error: Exception) -> str:
    """Return the text of an error, unless botocore quotes in it what it sent or was given."""
    if type(error) is HTTPClientError:
        return "the HTTP client refused the request"
    if isinstance(error, CredentialRetrievalError):
        return f"no credentials from {error.kwargs['provider']}"
    return str(error)


def _message(attempt: str, reason: str, advice: str) -> str:
    """Return what was tried, why it failed and what to do, on one line and without credentials."""
    reason = " ".join(reason.split()).rstrip(".")
    return without_credentials(f"{attempt}: {reason}. {advice}".strip())


def code_of(error: ClientError) -> str:
    """Return the code that S3 gave to an error."""
    return error.response["Error"]["Code"]


def _error_class(code: str) -> type[StoreError]:
    if code in MISSING:
        return ObjectMissing
    return ObjectExists if code in TAKEN else StoreError

"""Errors that are the machine's fault and not the data's: another try may succeed.

A unit's own errors are for good: its file is missing, or nobody can decode it. All that comes from what the machine
needs for its work is not: a store that throttles, fails, denies access or does not answer, a full disk, no memory.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any, Final

import cv2

NO_SPACE: Final = "no space left"
READ_ONLY: Final = "the disk is read-only"
NO_MEMORY: Final = "no memory"
NO_CONNECTION: Final = "the connection failed"

OF_THE_MACHINE: Final = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EROFS: READ_ONLY,
    errno.ENOMEM: NO_MEMORY,
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.EIO: "the disk failed",
    errno.ESTALE: "the file system went away",
    errno.ENOTCONN: "the file system went away",
    errno.ETIMEDOUT: "the file system did not answer",
    errno.EBUSY: "the store throttles",  # as s3fs spells a SlowDown
    errno.EREMOTEIO: "the store fails",  # and an InternalError
    **dict.fromkeys((errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE), NO_CONNECTION),
    **dict.fromkeys((errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH), NO_CONNECTION),
}
"""Error number of the operating system that another try may not meet → a short description."""

FOR_ALL: Final = frozenset({NO_SPACE, READ_ONLY})
"""Faults that every other unit would meet too, until a person does something."""

THROTTLED: Final = frozenset({"SlowDown", "RequestLimitExceeded", "TooManyRequests", "BandwidthLimitExceeded"})
DENIED: Final = frozenset(
    {"AccessDenied", "AllAccessDisabled", "AccountProblem", "AuthorizationHeaderMalformed", "CredentialsNotSupported"}
    | {"ExpiredToken", "InvalidAccessKeyId", "InvalidSecurity", "InvalidToken", "NotSignedUp", "RequestExpired"}
    | {"RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired", "UnauthorizedAccess"}
)
"""Codes of S3 by which a store does not let this machine in."""
FAILED: Final = frozenset({"InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted"})
CLIENTS: Final = frozenset({"botocore", "aiobotocore", "aiohttp", "gcsfs"})
"""Packages that talk to stores."""
OWN_TO_THE_REQUEST: Final = frozenset({"ParamValidationError", "InvalidURL", "NonHttpUrlClientError"})
"""Their exceptions about a name that no store would have."""


class MachineFaultError(Exception):
    """A machine or a server that a unit needs cannot go on: the unit is not judged and stays to be done."""

    def __init__(self, reason: str, *, is_for_all: bool = False) -> None:
        """Args:
        reason: short and countable.
        is_for_all: whether every other unit would meet the same.
        """
        super().__init__(reason)
        self.is_for_all = is_for_all

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), str(self), self.is_for_all)


def _restore(kind: type[MachineFaultError], reason: str, is_for_all: bool) -> MachineFaultError:  # noqa: FBT001
    return kind(reason, is_for_all=is_for_all)


def machine_fault(error: BaseException) -> str | None:
    """What was wrong with the machine, short and countable; None where the machine is not at fault.

    Libraries raise errors of their own in place of others', so what an error was raised from counts as well, and what a
    store's client said of the store counts alone.
    """
    chain = list(_with_causes(error))
    of_store = next((each for each in chain if _package(each) in CLIENTS), None)
    if of_store is not None:
        return _store_fault(of_store)
    return next((fault for each in chain if (fault := _own_fault(each)) is not None), None)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        yield cause
        seen.append(cause)
        cause = cause.__cause__


def _package(error: BaseException) -> str:
    return type(error).__module__.partition(".")[0]


def _own_fault(error: BaseException) -> str | None:
    if isinstance(error, MachineFaultError):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the latter is torch's
        return NO_MEMORY
    if isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem:
        return NO_MEMORY
    return _system_fault(error) if isinstance(error, OSError) else None


def _system_fault(error: OSError) -> str | None:
    if error.errno == errno.EIO and _package(error) == "av":
        return None  # so FFmpeg calls files that break off
    if error.errno is None:
        return NO_CONNECTION if isinstance(error, ConnectionError | TimeoutError) else None
    return OF_THE_MACHINE.get(error.errno)


def _store_fault(error: BaseException) -> str | None:
    """What an error of a store's client says about the store."""
    kind = type(error).__name__
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return _answer_fault(str(response.get("Error", {}).get("Code", "")), status)
    status = getattr(error, "status", None) or getattr(error, "code", None)
    if str(status).isdigit():
        return _answer_fault("", int(str(status)))
    if kind in OWN_TO_THE_REQUEST:
        return None
    if "Credentials" in kind or "Token" in kind or "Auth" in kind:
        return f"the store cannot be used without credentials ({kind})"
    return f"the store does not answer ({kind})"


def _answer_fault(code: str, status: int | None) -> str | None:
    """What a store's answer says about the store; None where it is about the object that was asked for."""
    named = f" ({code})" if code and not code.isdigit() else f" ({status})"
    if code in THROTTLED or "Throttl" in code or status == 429:
        return f"the store throttles{named}"
    if code in DENIED or status in (401, 403, 407):
        return f"the store denies access{named}"
    if code in FAILED or status == 408 or (status is not None and status >= 500):
        return f"the store fails{named}"
    return None

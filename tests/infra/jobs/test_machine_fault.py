"""Whose fault an error is: the machine's, or the file's. Errors of stores are those of the real clients."""

from __future__ import annotations

import errno

import aiohttp
import av
import botocore.exceptions as boto
import fsspec
import pytest
from botocore.exceptions import ClientError
from multidict import CIMultiDict, CIMultiDictProxy
from s3fs.errors import translate_boto_error
from yarl import URL

from curation.media import MediaError
from infra.jobs.machine_fault import machine_fault
from infra.storage.files import read_bytes, store_errors


def answer(code: str, status: int) -> ClientError:
    details = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(details, "GetObject")


def http_answer(status: int) -> aiohttp.ClientResponseError:
    headers = CIMultiDictProxy(CIMultiDict[str]())
    request = aiohttp.RequestInfo(URL("http://x/a.mp4"), "GET", headers, URL("http://x/a.mp4"))
    return aiohttp.ClientResponseError(request, (), status=status)


@pytest.mark.parametrize(
    ("code", "status", "fault"),
    [
        ("SlowDown", 503, "the store throttles (SlowDown)"),
        ("ThrottlingException", 400, "the store throttles (ThrottlingException)"),
        ("TooManyRequests", 429, "the store throttles (TooManyRequests)"),
        ("ServiceUnavailable", 503, "the store fails (ServiceUnavailable)"),
        ("InternalError", 500, "the store fails (InternalError)"),
        ("RequestTimeout", 400, "the store fails (RequestTimeout)"),
        ("502", 502, "the store fails (502)"),
        ("AccessDenied", 403, "the store denies access (AccessDenied)"),
        ("403", 403, "the store denies access (403)"),
        ("ExpiredToken", 400, "the store denies access (ExpiredToken)"),
        ("RequestTimeTooSkewed", 403, "the store denies access (RequestTimeTooSkewed)"),
        ("NoSuchKey", 404, None),
        ("NoSuchBucket", 404, None),
        ("404", 404, None),
        ("InvalidRange", 416, None),
        ("KeyTooLongError", 400, None),
    ],
)
def test_what_s3_answers_is_about_the_store_or_about_the_object(code: str, status: int, fault: str | None) -> None:
    raw = answer(code, status)
    assert machine_fault(raw) == fault
    assert machine_fault(translate_boto_error(raw)) == fault, "as s3fs raises it"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (boto.NoCredentialsError(), "the store cannot be used without credentials (NoCredentialsError)"),
        (boto.EndpointConnectionError(endpoint_url="x"), "the store does not answer (EndpointConnectionError)"),
        (boto.ReadTimeoutError(endpoint_url="x"), "the store does not answer (ReadTimeoutError)"),
        (boto.ConnectTimeoutError(endpoint_url="x"), "the store does not answer (ConnectTimeoutError)"),
        (boto.ParamValidationError(report="x"), None),
        (aiohttp.ServerDisconnectedError(), "the store does not answer (ServerDisconnectedError)"),
        (aiohttp.ClientPayloadError("x"), "the store does not answer (ClientPayloadError)"),
        (http_answer(503), "the store fails (503)"),
        (http_answer(429), "the store throttles (429)"),
        (http_answer(404), None),
        (TimeoutError(), "the connection failed"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "the connection failed"),
        (OSError(errno.ENOSPC, "x"), "no space left"),
        (OSError(errno.EROFS, "x"), "the disk is read-only"),
        (PermissionError(errno.EACCES, "x"), None),
        (FileNotFoundError(errno.ENOENT, "x"), None),
        (av.error.OSError(errno.EIO, "breaks off"), None),
        (av.error.InvalidDataError(1094995529, "x"), None),
    ],
)
def test_errors_of_clients_and_of_the_system(error: Exception, fault: str | None) -> None:
    assert machine_fault(error) == fault


def test_what_an_error_was_raised_from_counts() -> None:
    with pytest.raises(OSError, match="SlowDown") as throttled, store_errors():
        raise answer("SlowDown", 503)
    assert machine_fault(throttled.value) == "the store throttles (SlowDown)"
    unreadable = MediaError("unreadable", "x")
    assert machine_fault(unreadable) is None
    unreadable.__cause__ = OSError(errno.ENOMEM, "x")
    assert machine_fault(unreadable) == "no memory"


def test_a_missing_object_of_a_real_store_is_missing_and_a_store_that_is_away_is_not(
    object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.filesystem("s3").mkdirs("faults", exist_ok=True)
    with pytest.raises(FileNotFoundError) as missing:
        read_bytes("s3://faults/gone.mp4")
    assert machine_fault(missing.value) is None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"retries": {"max_attempts": 0}}})
    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(Exception, match=r".") as away:
        read_bytes("s3://faults/gone.mp4")
    fsspec.filesystem("s3").clear_instance_cache()
    assert machine_fault(away.value) == "the store does not answer (EndpointConnectionError)"

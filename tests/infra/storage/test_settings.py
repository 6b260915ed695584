"""What a driver passes on to workers by which they reach object stores, and what it must keep to itself."""

from __future__ import annotations

import pytest

from infra.storage.settings import StorageSettings

OF_A_POD = {
    "AWS_ROLE_ARN": "arn:aws:iam::1:role/ROLE",
    "AWS_ROLE_SESSION_NAME": "NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/NAME/token",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/NAME",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/NAME",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "NAME",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/var/run/secrets/NAME/eks-token",
}
"""By which a pod's service account, or a container's role, has an identity of AWS."""


def identity(name: str) -> dict[str, str]:
    return {variable: value.replace("NAME", name).replace("ROLE", name) for variable, value in OF_A_POD.items()}


def test_keys_travel_and_a_worker_keeps_the_identity_of_its_own_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**identity("head"), "AWS_ACCESS_KEY_ID": "abc", "AWS_ENDPOINT_URL": "http://store"}.items():
        monkeypatch.setenv(name, value)
    settings = StorageSettings.here()
    assert settings.environment.items() >= {"AWS_ACCESS_KEY_ID": "abc", "AWS_ENDPOINT_URL": "http://store"}.items()
    applied: dict[str, str] = {**identity("worker"), "PATH": "/bin"}
    monkeypatch.setattr("os.environ", applied)
    settings.apply()
    assert applied["AWS_ACCESS_KEY_ID"] == "abc"
    assert {name: applied[name] for name in OF_A_POD} == identity("worker")

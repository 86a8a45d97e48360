"""What Schemathesis has to know of the installation that it tries: its application, and sessions that exist."""

import pathlib
import re

import requests
import schemathesis
from schemathesis.specs.openapi import checks

# An address that has brought too many wrong proofs is told to wait: that is a refusal, too.
checks.AUTH_REJECTION_STATUSES = frozenset({*checks.AUTH_REJECTION_STATUSES, 429})

PROOF = {"Authorization": "Bearer " + pathlib.Path("tester.token").read_text().strip()}
HANDLE = re.compile("[0-9a-f]{32}")
SESSION = {
    "application": "shop",
    "principal": {"issuer": "idp", "name": "ann", "session_index": "i.1"},
    "entries": {"mail": "ann@example.org", "groups": ["staff", {"of": "a map"}], "raw": {"$base64": "/wAB"}},
    "assertions": [{"id": "a.1", "content": "<Assertion/>"}],
}


@schemathesis.hook
def map_body(context, body):
    """Opens sessions of the application that there is."""
    if isinstance(body, dict) and isinstance(body.get("application"), str):
        body["application"] = "shop"
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    """Gives what names a session, in the form of a handle, one that is live; with links it has one already."""
    path, query = case.path_parameters or {}, case.query or {}
    is_linked = case.meta is not None and case.meta.phase.name == "stateful"
    if is_linked or not HANDLE.fullmatch(str(path.get("handle", ""))):
        return
    opened = requests.post(case.operation.base_url.rstrip("/") + "/v1/sessions", json=SESSION, headers=PROOF, timeout=20)
    opened.raise_for_status()
    path["handle"] = opened.json()["handle"]
    if isinstance(query.get("id"), str):
        query["id"] = "a.1"

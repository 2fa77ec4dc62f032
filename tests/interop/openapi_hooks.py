"""Hooks of Schemathesis, see openapi.py: what would touch files beyond the box is turned to ones within it."""

import os

import schemathesis

FOLDER = os.environ["BACKUP_FOLDER"]


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if case.operation.path != "/backup" or not isinstance(body, dict):
        return
    file = body.get("file")
    if isinstance(file, str) and file.startswith("/"):
        # Its last character decides whether it is right.
        case.body = body | {"file": FOLDER + "/" + file.lstrip("/")}

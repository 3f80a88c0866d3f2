"""What a broken or a full database becomes for who asks."""

from __future__ import annotations

import sqlite3

import pytest
from flask import Flask

from brlib.web import errors


def _failing(code: int | None) -> Flask:
    app = Flask(__name__)
    errors.register(app)

    @app.get("/x")
    def ask() -> str:
        error = sqlite3.OperationalError("it says so")
        if code is not None:
            error.sqlite_errorcode = code
        raise error
    return app


@pytest.mark.parametrize(("code", "status", "name"), [
    (sqlite3.SQLITE_FULL, 503, "UNAVAILABLE"),
    (sqlite3.SQLITE_IOERR_WRITE, 503, "UNAVAILABLE"),
    (sqlite3.SQLITE_BUSY, 503, "UNAVAILABLE"),
    (sqlite3.SQLITE_READONLY_DBMOVED, 503, "UNAVAILABLE"),
    (sqlite3.SQLITE_ERROR, 500, "INTERNAL_ERROR"),  # such as a column that is not there
    (None, 500, "INTERNAL_ERROR"),
])
def test_the_database(code: int | None, status: int, name: str) -> None:
    answer = _failing(code).test_client().get("/x")
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (status, name)
    assert ("Recordings go on" in answer.get_json()["error"]["message"]) == (status == 503)

"""Routes that are declared: what each takes, who may call it, what it answers.

The declaration checks the request before the view runs, tells `guard` who may come in, and
is the source of the API document; none of the three can drift from the others. Used by
every route module.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from ..service import Service
from . import inputs
from .inputs import Fields
from .limits import Rate
from .shapes import Schema

View = Callable[..., Any]
Given = dict[str, Any]
ENGINE = "battles_record"


def service() -> Service:
    """The engine behind the present request."""
    found: Service = current_app.extensions[ENGINE]
    return found


class Access(StrEnum):
    """Who may call a route."""

    OPEN = "open"    # anyone; the route looks itself
    READ = "read"    # whoever is logged in
    ADMIN = "admin"  # admins and full keys


@dataclass(frozen=True)
class Media:
    """An answer that is no JSON; `types` are what it may be. Pictures and recordings are not
    counted, and players may log in by Basic for them."""

    types: tuple[str, ...]
    partial: bool = False
    counted: bool = False


@dataclass(frozen=True)
class Operation:
    """One method of one path. `errors` are the codes besides those that every route has."""

    method: str
    path: str
    summary: str
    access: Access
    status: int
    answer: Schema | Media | None
    query: Fields | None = None
    body: Fields | None = None
    # What a body is instead of JSON fields, as an OpenAPI request body.
    upload: Schema | None = None
    errors: tuple[str, ...] = ()
    rate: Rate | None = None
    # Further statuses with the shape of their answers.
    also: tuple[tuple[int, Schema], ...] = ()
    about: str = ""

    @property
    def media(self) -> bool:
        return isinstance(self.answer, Media) and not self.answer.counted


class Routes:
    """A blueprint of declared routes."""

    def __init__(self, name: str) -> None:
        self.blueprint = Blueprint(name, __name__)
        self.operations: dict[str, Operation] = {}

    def get(self, path: str, summary: str, answer: Schema | Media | None,
            access: Access = Access.READ, **more: Any) -> Callable[[View], View]:
        rate = None if isinstance(answer, Media) and not answer.counted else Rate.READ
        return self._route(Operation(
            "GET", path, summary, access, 200, answer, **{"rate": rate, **more}))

    def post(self, path: str, summary: str, answer: Schema | None, status: int = 200,
             access: Access = Access.ADMIN, **more: Any) -> Callable[[View], View]:
        return self._route(Operation(
            "POST", path, summary, access, status, answer, **{"rate": Rate.WRITE, **more}))

    def put(self, path: str, summary: str, answer: Schema,
            **more: Any) -> Callable[[View], View]:
        return self._route(Operation(
            "PUT", path, summary, Access.ADMIN, 200, answer, rate=Rate.WRITE, **more))

    def patch(self, path: str, summary: str, answer: Schema,
              **more: Any) -> Callable[[View], View]:
        return self._route(Operation(
            "PATCH", path, summary, Access.ADMIN, 200, answer, rate=Rate.WRITE, **more))

    def delete(self, path: str, summary: str, **more: Any) -> Callable[[View], View]:
        return self._route(Operation(
            "DELETE", path, summary, Access.ADMIN, 204, None, rate=Rate.WRITE, **more))

    def declare(self, endpoint: str, operation: Operation) -> None:
        """A route that something else made."""
        self.operations[f"{self.blueprint.name}.{endpoint}"] = operation

    def _route(self, operation: Operation) -> Callable[[View], View]:
        def decorate(view: View) -> View:
            about = inspect.cleandoc(view.__doc__ or "")
            declared = replace(operation, about=" ".join(about.split()))
            self.declare(view.__name__, declared)
            self.blueprint.add_url_rule(
                declared.path, view.__name__, _checked(view, declared),
                methods=[declared.method])
            return view
        return decorate


def _checked(view: View, operation: Operation) -> View:
    """The view as Flask calls it: what was sent comes checked, what it returns goes as JSON."""
    @functools.wraps(view)
    def call(**arguments: Any) -> Response:
        if operation.query is not None:
            arguments["query"] = inputs.query(request, operation.query)
        if operation.body is not None:
            arguments["body"] = inputs.body(request, operation.body)
        result = view(**arguments)
        if isinstance(result, Response):
            return result
        if operation.answer is None:
            return Response(status=operation.status)
        response = jsonify(result)
        response.status_code = operation.status
        return response
    return call

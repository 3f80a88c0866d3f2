"""`/api/users…`: who may log in, and as what. For admins."""

from __future__ import annotations

from typing import Any

from ..models import Role
from . import kinds, shapes, views
from .kinds import Field
from .routes import Access, Given, Routes, service

routes = Routes("users")

CHANGE = {"username": Field(kinds.username), "password": Field(kinds.new_secret),
          "role": Field(kinds.one_of(*Role))}
ADD = {"username": Field(kinds.username, required=True),
       "password": Field(kinds.new_secret, required=True),
       "role": Field(kinds.one_of(*Role), about="viewer unless said otherwise")}


@routes.get("/users", "List the users", shapes.listed("users", shapes.USER), Access.ADMIN)
def list_users() -> Any:
    return {"users": [views.user(user) for user in service().accounts.find_users()]}


@routes.post("/users", "Make a user", shapes.USER, 201, body=ADD,
             errors=("CONFLICT", "UNAVAILABLE"))
def add_user(body: Given) -> Any:
    role = Role(body.get("role", Role.VIEWER))
    return views.user(service().accounts.add_user(body["username"], body["password"], role))


@routes.get("/users/<user_id>", "Get a user", shapes.USER, Access.ADMIN)
def get_user(user_id: str) -> Any:
    return views.user(service().accounts.get_user(user_id))


@routes.patch("/users/<user_id>", "Change a user", shapes.USER, body=CHANGE,
              errors=("CONFLICT", "UNAVAILABLE"))
def change_user(user_id: str, body: Given) -> Any:
    """A new password or role ends the user's logins at once."""
    role = Role(body["role"]) if "role" in body else None
    return views.user(service().accounts.change_user(
        user_id, username=body.get("username"), password=body.get("password"), role=role))


@routes.delete("/users/<user_id>", "Delete a user", errors=("CONFLICT",))
def delete_user(user_id: str) -> None:
    """The last admin stays."""
    service().accounts.delete_user(user_id)


@routes.delete("/users/<user_id>/sessions", "End a user's logins at once")
def end_sessions(user_id: str) -> None:
    service().accounts.end_sessions(user_id)

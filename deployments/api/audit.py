"""Who did what, over REST."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from astrid_training.audit import read_audit
from deployments.api.auth import Authorize, needs
from deployments.api.datasets import NO_NUL
from deployments.api.models import DATASET, MOMENT, example
from deployments.api.problems import documented
from deployments.api.runs import as_json
from deployments.api.service import Service

__all__ = ["add_audit"]

Text = Annotated[str | None, Field(max_length=500, pattern=NO_NUL)]


class AuditQuery(BaseModel):
    """Which rows are told."""

    model_config = ConfigDict(extra="forbid")

    subject: Text = Field(None, description="A dataset's id, a token's name, a store's address.")
    by: Text = Field(None, description="A token's or a user's name.")
    limit: int = Field(100, ge=1, le=1000, description="Most rows.")


class Deed(BaseModel):
    """What somebody did."""

    at: datetime
    action: str
    subject: str
    by: str
    role: str | None = Field(description="Whom PostgreSQL knew it from, where that is kept.")
    detail: dict[str, Any]


class Deeds(BaseModel):
    """What was done, newest first."""

    model_config = example(
        deeds=[
            {
                "at": MOMENT,
                "action": "revoked",
                "subject": str(DATASET),
                "by": "ada",
                "role": None,
                "detail": {"reason": "a bad night"},
            }
        ]
    )

    deeds: list[Deed]


def add_audit(router: APIRouter, service: Service, authorize: Authorize) -> None:
    """Add the endpoint that tells who did what."""

    @router.get(
        "/audit",
        response_model=Deeds,
        summary="Who did what",
        dependencies=[needs("manage", authorize)],
        responses=documented("token-needed", "scope-missing", "invalid", "broken", "unavailable"),
    )
    def get_audit(wanted: Annotated[AuditQuery, Query()]) -> JSONResponse:
        """Return who collected, superseded, revoked and removed, and who made or revoked tokens."""
        rows = read_audit(service.engine, subject=wanted.subject, by=wanted.by, limit=wanted.limit)
        return JSONResponse(as_json(Deeds(deeds=[Deed(**asdict(row)) for row in rows])))

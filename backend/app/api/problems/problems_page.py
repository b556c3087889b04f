"""The page at `/problems`, to which the `type` of a problem leads: what each kind means."""

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from app.api.problems.kinds import KINDS
from app.api.problems.problem import PROBLEMS_PATH

router = APIRouter(include_in_schema=False)


@router.head(PROBLEMS_PATH)
@router.get(PROBLEMS_PATH)
async def describe_problems() -> HTMLResponse:
    """Describe every problem of the service."""
    entries = "".join(
        f'<h2 id="{kind.slug}">{kind.status} {escape(kind.title)}</h2>\n'
        f"<p>{escape(kind.advice)}</p>\n"
        for kind in sorted(KINDS, key=lambda kind: (kind.status, kind.slug))
    )
    return HTMLResponse(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Errors</title>\n'
        f"<h1>Errors of the image host</h1>\n{entries}</html>\n"
    )

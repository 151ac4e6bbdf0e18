# SPDX-License-Identifier: Apache-2.0
"""The templates of reports, pages and scripts, in the folder `templates`."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness.support.text import visible

TEMPLATES = Path(__file__).with_name("templates")


def html_templates() -> jinja2.Environment:
    """Templates of HTML: text is escaped, and control characters in it are made visible."""
    return _environment(autoescape=True, finalize=_shown)


def text_templates(**filters: Callable[..., Any]) -> jinja2.Environment:
    """Templates of Markdown, scripts and configurations, which end with a newline. filters: by name."""
    environment = _environment(autoescape=False, keep_trailing_newline=True)
    environment.filters |= filters
    return environment


def content_hash(text: str) -> str:
    """The digest of an inline element, for the Content-Security-Policy of its page."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _environment(**options: Any) -> jinja2.Environment:
    """StrictUndefined: a misspelled name is an error, not an empty place."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, **options,
    )  # fmt: skip


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

"""The interface changes only on purpose: /openapi.json is what openapi.json beside this file says. To renew it:

.venv/bin/python -c 'import tests.rules.test_openapi as t; t.SNAPSHOT.write_text(t.document())'
"""

import json
from pathlib import Path

from service.app import create_app
from service.settings import Settings

SNAPSHOT = Path(__file__).with_name("openapi.json")


def document() -> str:
    """The document without the release's number."""
    content = create_app(Settings()).openapi()
    del content["info"]["version"]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def test_the_interface_is_as_it_was():
    assert json.loads(document()) == json.loads(SNAPSHOT.read_text())

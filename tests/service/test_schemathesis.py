"""Every operation of /openapi.json does as documented, whatever it gets: schemathesis drives a real service.

For longer, on a service of one's own and with another seed:

    .venv/bin/st --config-file tests/service/schemathesis.toml run http://127.0.0.1:8000/openapi.json -n 1000 --seed 2
"""

import subprocess
import sys
from pathlib import Path

from service.keys import add_key
from tests.service.test_server import BUNDLES, address, serving

CONFIG = Path(__file__).with_name("schemathesis.toml")
COMMAND = [Path(sys.executable).with_name("st"), "--config-file", CONFIG, "run", "--no-color", "--seed", "1"]


def test_every_operation_does_as_documented(tmp_path):
    folder = tmp_path / "bundles"
    folder.mkdir()
    for path in (BUNDLES / "hourly", BUNDLES / "daily", *BUNDLES.parent.glob("[tg]*ators/*")):
        (folder / path.name).symlink_to(path)
    key = add_key(tmp_path / "keys", "ours")
    with serving(folder, SEQCAST_API_KEYS=str(tmp_path / "keys"), SEQCAST_LOG_LEVEL="error") as (_, lines):
        given = ["-H", f"Authorization: Bearer {key}", "--max-examples", "10", f"{address(lines)}/openapi.json"]
        ended = subprocess.run(
            [*COMMAND, *given], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr

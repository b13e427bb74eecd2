"""What holds of the Dockerfiles where no engine is there to build them."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVICE, TRAINING = ROOT / "Dockerfile", ROOT / "docker" / "train.Dockerfile"
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def stages(path):
    """Stage -> (what it is from, its instructions), the last, which may have no name, under ""."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found[name] = (base, [])
        elif found:
            found[name][1].append((word, " ".join(rest.split())))
        else:
            assert (word, rest.partition("=")[0]) == ("ARG", "BASE")
    return found


def runs(path, stage):
    """The instructions that make up an image: of the stage, after those of what it is from."""
    base, own = stages(path)[stage]
    return own if base == "${BASE}" else runs(path, base) + own


FINAL = [(SERVICE, "serve"), (SERVICE, "serve-gpu"), (TRAINING, "")]


@pytest.mark.parametrize("path", [SERVICE, TRAINING])
def test_any_engine_with_buildkit_builds_them(path):
    """Frontends to fetch, heredocs and links are not there everywhere."""
    assert not re.search(r"#\s*syntax|<<|--link", path.read_text())


@pytest.mark.parametrize("path", [SERVICE, TRAINING])
def test_everything_is_from_the_base_that_was_given(path):
    known = {"${BASE}"}
    for name, (base, instructions) in stages(path).items():
        assert base in known
        assert {rest.split()[0] for word, rest in instructions if word == "COPY" and rest.startswith("--from")} <= {
            f"--from={each}" for each in known
        }
        known.add(name)


@pytest.mark.parametrize(("path", "stage"), FINAL)
def test_what_runs_is_nobody_is_its_own_first_process_and_installs_nothing(path, stage):
    instructions = runs(path, stage)
    assert [rest for word, rest in instructions if word == "USER"] == ["65534:65534"]
    assert [json.loads(rest) for word, rest in instructions if word == "ENTRYPOINT"] == [["seqcast"]]
    assert all(rest.startswith("install --directory ") for word, rest in instructions if word == "RUN")
    assert "ADD" not in dict(instructions)


@pytest.mark.parametrize("stage", ["serve", "serve-gpu"])
def test_the_service_is_asked_whether_it_is_ready(stage):
    (check,) = [rest for word, rest in runs(SERVICE, stage) if word == "HEALTHCHECK"]
    file = Path(json.loads(check.partition("CMD ")[2])[-1]).name
    assert "/readyz" in (ROOT / "docker" / file).read_text()


@pytest.mark.parametrize(
    ("path", "final", "stage", "extras"),
    [
        (SERVICE, "serve", "packages", "serve,otel"),
        (SERVICE, "serve-gpu", "packages-gpu", "serve-gpu,otel"),
        (TRAINING, "", "packages", "train"),
    ],
)
def test_packages_are_pinned_and_change_less_often_than_the_code(path, final, stage, extras):
    instructions = runs(path, stage)
    (install,) = [rest for word, rest in instructions if word == "RUN" and " install " in rest]
    assert f"--constraint constraints.txt '.[{extras}]'" in install
    copied = {source for word, rest in instructions if word == "COPY" for source in rest.split()[:-1]}
    assert copied <= {"pyproject.toml", "constraints.txt", "docker/trim.sh"}
    layers = [rest.split()[0] for word, rest in runs(path, final) if word == "COPY" and rest.startswith("--from")]
    assert layers == [f"--from={stage}", "--from=code"]


@pytest.mark.parametrize("path", [SERVICE, TRAINING])
def test_what_is_copied_gets_past_the_dockerignore(path):
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for _, instructions in stages(path).values():
        for word, rest in instructions:
            if word == "COPY" and not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists(), source
                    assert any(source == each or source.startswith(f"{each}/") for each in let_in), source


def test_both_builds_of_onnx_runtime_are_of_one_version():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line)
    assert pins["onnxruntime-gpu"] == pins["onnxruntime"]


def test_what_goes_on_running_comes_back_and_is_asked_how_it_is():
    checked = {"serve", "serve-gpu"}
    for name, service in SERVICES.items():
        if name != "train":  # a job
            assert service["restart"] == "unless-stopped", name
            assert "healthcheck" in service or service["build"]["target"] in checked, name
        if "image" in service:
            assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service["image"]), name
    assert SERVICES["grafana"]["depends_on"] == {"prometheus": {"condition": "service_healthy"}}


def test_the_service_may_only_read_the_bundles_that_training_writes():
    assert SERVICES["api"]["volumes"] == SERVICES["api-gpu"]["volumes"] == ["bundles:/bundles:ro"]
    assert "bundles:/job/bundles" in SERVICES["train"]["volumes"]
    (tables,) = [each for each in SERVICES["train"]["volumes"] if isinstance(each, dict)]
    assert tables["read_only"]
    assert not tables["bind"]["create_host_path"], "Docker would make it, root's and empty"

"""The image and the compose file hold what they say: stages, user, limits, volumes, health, who can reach it."""

import fnmatch
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from app.settings import Settings
from app.wiring import usable_cpus

ROOT = Path(__file__).resolve().parents[1]


# --------------------------------------------------------------------------- image
def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip().partition(" ") for line in text.splitlines() if line.strip()]
    return [(name.upper(), " ".join(rest.split())) for name, _, rest in lines]


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for name, rest in instructions():
        if name == "FROM":
            found[rest.rpartition(" AS ")[2]] = []
        elif found:
            found[list(found)[-1]].append((name, rest))
    return found


def test_the_image_is_built_in_stages_and_runs_as_nobody():
    built = stages()
    assert list(built)[-1] == "service"
    assert {"packages", "pair"} <= built.keys()
    service = built["service"]
    users = [rest for name, rest in service if name == "USER"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1])
    after = service[[name for name, _ in service].index("USER") :]
    assert not [rest for name, rest in after if name in {"RUN", "COPY"}]
    assert not [rest for name, rest in service if name == "RUN" and ("pip" in rest or "apt" in rest)]
    assert ("CMD", '["python", "-m", "app"]') in service


def test_the_image_takes_cpu_torch_keeps_no_cache_and_builds_the_pair_in():
    packages = stages()["packages"]
    assert ("ARG", "TORCH_BACKEND=cpu") in packages
    installs = [rest for stage in stages().values() for name, rest in stage if name == "RUN" and "install" in rest]
    assert all("--no-cache" in rest for rest in installs)
    assert any('--torch-backend "${TORCH_BACKEND}" -r requirements.txt' in rest for rest in installs)
    assert ("RUN", "python scripts/build_embedded.py") in stages()["pair"]
    copies = [rest for name, rest in stages()["service"] if name == "COPY"]
    assert "--from=pair /build/models/embedded/build ./models/embedded/build" in copies


def ignored(path: str) -> bool:
    """Docker's rule, for the patterns used here: the last pattern that fits the path or a parent of it decides."""
    verdict = False
    parents = [path, *(parent.as_posix() for parent in Path(path).parents if parent != Path())]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            keep = pattern.startswith("!")
            bare = pattern.removeprefix("!")
            if any(fnmatch.fnmatchcase(item, bare.replace("**/", "*")) for item in parents):
                verdict = not keep
    return verdict


def test_the_build_sees_what_it_copies_and_nothing_private():
    copied = [rest for stage in stages().values() for name, rest in stage if name == "COPY" and "--from" not in rest]
    sources = {source for rest in copied for source in rest.split()[:-1] if not source.startswith("--")}
    assert sources
    for source in sources:
        assert not ignored(source), source
        assert (ROOT / source).exists(), source
    for private in (".env", ".git", "data/medmodal.db", "models/full/omni/decoder.onnx", "models/embedded/build/omni",
                    "models/embedded/versions/active.json", "tests/media_samples.py", "reports/a.json"):  # fmt: skip
        assert ignored(private), private


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_asks_the_running_service(status, code):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/health/live" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    check = next(rest for name, rest in stages()["service"] if name == "HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        environment = {**os.environ, "PORT": str(server.server_port), "http_proxy": "http://127.0.0.1:1"}
        outcome = subprocess.run([sys.executable, *command[1:]], env=environment, timeout=20, check=False)
        server.shutdown()
        thread.join()
    assert outcome.returncode == code


def test_the_dockerfile_passes_hadolint():
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint is not installed for this platform")
    outcome = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert outcome.stdout + outcome.stderr == ""
    assert outcome.returncode == 0


# --------------------------------------------------------------------------- compose
def service(name: str) -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][name]


@pytest.fixture
def api() -> dict:
    return service("api")


@pytest.fixture
def learner() -> dict:
    return service("learner")


def interpolated(text: str) -> str:
    """`${NAME:-default}` with nothing set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_the_container_is_limited_to_the_machine_that_the_design_names(api):
    limits = api["deploy"]["resources"]["limits"]
    assert (interpolated(limits["cpus"]), interpolated(limits["memory"])) == ("4", "8G")
    assert Settings(_env_file=None).max_memory < 8 * 10**9


@pytest.mark.parametrize("name", ["api", "learner"])
def test_a_container_can_change_nothing_but_data_and_versions(name):
    limited = service(name)
    assert limited["read_only"] is True
    assert limited["cap_drop"] == ["ALL"]
    assert limited["security_opt"] == ["no-new-privileges:true"]
    assert [entry.partition(":")[0] for entry in limited["tmpfs"]] == ["/tmp"]  # noqa: S108
    volumes = {interpolated(entry) for entry in limited["volumes"]}
    assert volumes == {"data:/data", "versions:/versions", "./models:/models:ro"}
    assert "privileged" not in limited


def test_service_and_learner_share_one_image_and_the_volumes(api, learner):
    for part in ("image", "build", "volumes", "env_file"):
        assert api[part] == learner[part]
    declared = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"]
    assert declared.keys() == {"data", "versions"}
    assert api["environment"]["VERSIONS_DIR"] == learner["environment"]["VERSIONS_DIR"] == "/versions"
    built = stages()["service"]
    assert ("VOLUME", '["/data", "/versions"]') in built
    assert any("chown 10001:10001 /data /versions" in rest for name, rest in built if name == "RUN")


def test_the_learner_leaves_the_processor_and_the_memory_to_the_service(learner):
    limits = learner["deploy"]["resources"]["limits"]
    assert (limits["cpus"], interpolated(limits["memory"])) == ("1", "1536M")
    assert learner["cpu_shares"] < 1024 / 10
    assert "ports" not in learner


def test_the_learner_starts_with_the_settings_of_the_container(learner):
    assert learner["command"][:3] == ["python", "-m", "app.learning.worker"]
    assert importlib.util.find_spec(learner["command"][2]) is not None
    environment = {name.lower(): value for name, value in learner["environment"].items()}
    assert Settings(_env_file=None, **environment).versions_dir == Path("/versions")


@pytest.mark.parametrize(("seconds_ago", "code"), [(1, 0), (170, 0), (190, 1), (None, 1)])
def test_the_learners_health_is_its_heartbeat(learner, tmp_path, seconds_ago, code):
    heartbeat = learner["command"][learner["command"].index("--heartbeat") + 1]
    check = learner["healthcheck"]["test"]
    assert check[:3] == ["CMD", "python", "-c"]
    assert heartbeat in check[3]
    own = tmp_path / "heartbeat"
    if seconds_ago is not None:
        own.touch()
        then = time.time() - seconds_ago
        os.utime(own, (then, then))
    outcome = subprocess.run(
        [sys.executable, "-S", "-c", check[3].replace(heartbeat, str(own))], capture_output=True, check=False
    )
    assert outcome.returncode == code


def test_a_stop_waits_for_a_run_to_be_given_back(learner):
    assert int(learner["stop_grace_period"].removesuffix("s")) > 10


def test_relative_paths_of_the_settings_lead_to_the_volumes():
    made = " ".join(rest for name, rest in stages()["service"] if name == "RUN")
    assert "ln -s /data data" in made
    assert "ln -s /models/full models/full" in made
    defaults = Settings(_env_file=None)
    assert defaults.cache_dir.parts[0] == "data"
    assert defaults.database_url.startswith("sqlite:///data/")


def test_without_keys_only_this_machine_reaches_the_service(api):
    assert [interpolated(port) for port in api["ports"]] == ["127.0.0.1:8000:8000"]
    environment = {name.lower(): value for name, value in api["environment"].items()}
    settings = Settings(_env_file=None, **environment)
    assert settings.host == "0.0.0.0"  # noqa: S104
    assert settings.allow_unauthenticated_network


def test_a_stop_waits_for_the_case_in_work(api):
    assert int(api["stop_grace_period"].removesuffix("s")) > Settings(_env_file=None).shutdown_timeout_s


@pytest.mark.parametrize(("line", "most"), [("200000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 10_000)])
def test_threads_follow_the_quota_of_the_container(tmp_path, line, most):
    quota = tmp_path / "cpu.max"
    quota.write_text(line)
    assert usable_cpus(quota) == min(most, len(os.sched_getaffinity(0)))
    assert usable_cpus(tmp_path / "absent") == len(os.sched_getaffinity(0))

"""What can be known of cluster/ without a cluster: keys, versions that must agree, and commands our own CLI accepts."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from adde_ray.cli import app
from adde_ray.config import Config

ROOT = Path(__file__).parents[1]
CLUSTER = ROOT / "cluster"
FILES = sorted(p for p in CLUSTER.iterdir() if p.is_file())
DOCKERFILE = (CLUSTER / "Dockerfile").read_text()
JOB = yaml.safe_load((CLUSTER / "rayjob.yaml").read_text())
CLAIM = yaml.safe_load((CLUSTER / "runs-pvc.yaml").read_text())
LAUNCHER = yaml.safe_load((CLUSTER / "ray-cluster.yaml").read_text())


def pinned(package: str) -> str:
    return re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)[1]


def workdir() -> str:
    return re.search(r"^WORKDIR (\S+)$", DOCKERFILE, re.M)[1]


def commands() -> list[list[str]]:
    """The arguments of every call of jobs/run.py, in the RayJob and in comments."""
    found = [JOB["spec"]["entrypoint"]]
    for path in FILES:
        found += re.findall(r"^#.*?-- (python \S+/jobs/run\.py[^'\n]*)", path.read_text(), re.M)
    return [shlex.split(text) for text in found]


def pods() -> list[dict]:
    cluster = JOB["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_all_files_are_there():
    assert [p.name for p in FILES] == ["Dockerfile", "ray-cluster.yaml", "rayjob.yaml", "runs-pvc.yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_opens_with_the_command_that_uses_it(path):
    first = path.read_text().splitlines()[0]
    assert re.match(r"# (docker build|kubectl apply|ray up) ", first)
    assert f"cluster/{path.name}" in first
    for named in re.findall(r"(?<!/)cluster/[\w-]+(?:\.\w+)?", path.read_text()):
        assert (ROOT / named).is_file(), named


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".yaml"], ids=lambda p: p.name)
def test_placeholders_are_announced_where_they_stand(path):
    for line in path.read_text().splitlines():
        if re.search(r"\b(REGISTRY|HEAD_HOST|WORKER_HOST_\d|YOUR_\w+)\b", line.partition("#")[0]):
            assert "# FILL IN" in line, line
    assert "FILL IN" in path.read_text()


def test_image_has_the_ray_and_python_we_were_tested_with():
    version, python = re.search(r"^ARG RAY_IMAGE=rayproject/ray:([\d.]+)-py(\d+)-cpu$", DOCKERFILE, re.M).groups()
    assert version == pinned("ray")
    required = re.search(r'^requires-python = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f"{python[0]}.{python[1:]}" in SpecifierSet(required)
    assert f"rayproject/ray:{version}-py{python}-gpu" in DOCKERFILE
    assert JOB["spec"]["rayClusterSpec"]["rayVersion"] == version
    assert version in Requirement("ray>=2.56").specifier  # before, reading a web dataset could run foreign code


def test_dockerfile_copies_what_there_is_and_installs_what_was_tested():
    copied = [name for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.M) for name in line.split()[1:-1]]
    assert copied and not [name for name in copied if not (ROOT / name).exists()]
    assert {"pyproject.toml", "constraints.txt", "adde_ray", "jobs"} <= set(copied)
    assert re.search(r"^RUN .*pip install .*-c constraints\.txt torch \.$", DOCKERFILE, re.M)


def test_every_node_runs_that_image():
    tag = re.search(r"-t (\S+) ", DOCKERFILE)[1]
    images = [c["image"] for group in pods() for c in group["template"]["spec"]["containers"]]
    assert {*images, LAUNCHER["docker"]["image"]} == {tag}
    project = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert tag.endswith(f":{project}")


def test_commands_are_found():
    assert len(commands()) == 2


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_command_line_accepts_them(words):
    program, script, *arguments = words
    assert program == "python" and script == f"{workdir()}/jobs/run.py" and (ROOT / "jobs/run.py").is_file()
    arguments = [word.replace(f"{workdir()}/", f"{ROOT}/") for word in arguments]
    parsed = typer.main.get_command(app).commands["run"].make_context("run", arguments).params
    assert parsed["config"].is_file()
    Config.load(parsed["config"], parsed["set_"] or ())
    assert parsed["resume"], "a job that is tried again must go on"
    assert parsed["run_dir"].parts[:2] == ("/", "runs") and len(parsed["run_dir"].parts) > 2


def test_an_argument_nobody_knows_is_refused():
    with pytest.raises(Exception, match="No such option"):
        typer.main.get_command(app).commands["run"].make_context("run", ["c.toml", "--restart"])


def test_jobs_run_takes_the_arguments_of_adde_run():
    done = subprocess.run(
        [sys.executable, "jobs/run.py", "--help"], cwd=ROOT, capture_output=True, text=True, env={"COLUMNS": "200"}
    )
    assert done.returncode == 0, done.stderr
    assert all(option in done.stdout for option in ("CONFIG.toml", "--set", "--run-dir", "--resume"))


def test_runs_lie_on_a_volume_that_outlives_the_pod():
    assert (CLAIM["apiVersion"], CLAIM["kind"]) == ("v1", "PersistentVolumeClaim")
    assert CLAIM["spec"]["accessModes"] and CLAIM["spec"]["resources"]["requests"]["storage"]
    head = JOB["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    volumes = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in head["volumes"]}
    (mount,) = head["containers"][0]["volumeMounts"]
    assert mount["mountPath"] == "/runs" and volumes[mount["name"]] == CLAIM["metadata"]["name"]
    assert head["securityContext"]["fsGroup"] == 100
    options = LAUNCHER["docker"]["head_run_options"]
    assert re.fullmatch(r"/\S+:/runs", options[options.index("-v") + 1])


def test_rayjob_has_what_kuberay_requires():
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,45}[a-z0-9])?", JOB["metadata"]["name"])  # longer ones are refused
    spec = JOB["spec"]
    assert set(spec) <= {
        "entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec"
    }  # fmt: skip
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"] is True and spec["ttlSecondsAfterFinished"] >= 0
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    for group in pods():
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = group["template"]["spec"]["containers"]
        assert set(container["resources"]) == {"requests", "limits"}
    for group in spec["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["groupName"] and group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


def test_ray_accepts_the_launcher_file():
    code = """
import sys, yaml
from ray.autoscaler._private.util import prepare_config, validate_config
config = prepare_config(yaml.safe_load(open(sys.argv[1])))
validate_config(config)
print(config["head_node_type"], config["max_workers"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(CLUSTER / "ray-cluster.yaml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["local.cluster.node", str(len(LAUNCHER["provider"]["worker_ips"]))]
    assert "--address http://127.0.0.1:8265 -- python" in (CLUSTER / "ray-cluster.yaml").read_text()

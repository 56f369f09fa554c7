"""`adde review`: the page's process, and who is invited."""

import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import pytest
from asked import items
from review_server import about, begun_run, running
from typer.testing import CliRunner

from adde_ray import cli
from adde_ray.artifacts import damage
from adde_ray.review.server.about import about as about_run
from adde_ray.review.store import Store, place


@pytest.fixture
def run(tmp_path):
    return begun_run(tmp_path / "run")


def review(*arguments) -> tuple[int, str]:
    told = CliRunner().invoke(cli.app, ["review", *map(str, arguments)])
    return told.exit_code, told.output


def test_people_are_invited_listed_and_revoked(run):
    assert review("people", run) == (0, "nobody is invited: whoever sits at this machine may answer\n")
    code, told = review("invite", run, "ann", "--role", "owner")
    token = told.splitlines()[-1]
    store = Store.open(*place(run))
    assert code == 0 and store.authenticate(token).role == "owner"
    store.shut()
    assert review("people", run) == (0, "ann (owner)\n")
    assert review("revoke", run, "ann") == (0, "ann is let in no more\n")
    assert review("people", run) == (0, "ann (revoked)\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere",), "no run here"),
        (("invite", "nowhere", "ann"), "no run here"),
        (("RUN", "--host", "0.0.0.0"), "nobody is let in without a token"),
        (("revoke", "RUN", "ann"), "nobody of that name is invited"),
    ],
)
def test_mistakes_are_one_line(run, arguments, told):
    code, output = review(*[run if a == "RUN" else a for a in arguments])
    assert code == 2 and told in " ".join(output.split()) and "Traceback" not in output


def test_a_run_that_has_read_nothing_yet_is_told(run):
    (run / "ingest" / "meta.json").unlink()
    (run / "digests.txt").write_text("")
    assert "has not read its data yet" in " ".join(review(run)[1].split())


def test_the_page_is_no_part_of_the_run(run):
    review("invite", run, "ann")
    assert damage.find(run) == []


def test_the_run_config_decides_what_people_may_see(tmp_path):
    from adde_ray.artifacts.run_dir import RunDir

    (tmp_path / "guide.md").write_text("# Rules")
    root = begun_run(tmp_path / "r", overlap="adaptive", guesses=False, guide=str(tmp_path / "guide.md"))
    found = about_run(RunDir.at(root))
    assert found.overlap == "adaptive" and not found.guesses and "<h1>Rules</h1>" in found.guide.html
    assert (found.name, found.classes, found.modality) == ("tickets", ("A", "B", "C"), "text")
    assert about(root).images(7) == root / "rounds" / "007" / "review"


def test_the_page_is_served_without_ray_and_ends_when_it_is_asked_to(run):
    store = Store.open(*place(run))
    store.publish(items(3))
    store.shut()
    with running(run, "--port", 0, "--as", "me") as (url, process):
        me = httpx.get(f"{url}/api/me").json()
        assert (me["name"], me["role"], me["progress"]["asked"]) == ("me", "owner", 3)
        assert "<script" in httpx.get(url).text
        maps = Path(f"/proc/{process.pid}/maps").read_text() if sys.platform == "linux" else ""
        assert "torch" not in maps and "ray/_raylet" not in maps
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0


def test_a_kill_loses_no_answer_that_was_acknowledged(run):
    store = Store.open(*place(run))
    store.publish(items(200))
    token, told = store.invite("ann"), []
    for _ in range(2):
        with running(run, "--port", 0) as (url, process), httpx.Client(base_url=url) as http:
            csrf = http.post("/api/sign-in", json={"token": token}).json()["csrf"]
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                found = http.get("/api/next", params={"n": 5}).json()["samples"]
                sent = [{"answer_id": uuid.uuid4().hex, "task": s["task"], "action": "accept"} for s in found[:1]]
                told += http.post("/api/answers", json={"answers": sent}, headers={"X-CSRF-Token": csrf}).json()[
                    "accepted"
                ]
            process.kill()
            process.wait()
    kept = store.answers()["answer_id"].to_list()
    store.shut()
    assert len(told) > 2 and set(told) <= set(kept) and len(kept) == len(set(kept))


def test_a_page_serves_while_the_run_writes_in_another_process(run):
    with running(run, "--port", 0) as (url, _):
        assert httpx.get(f"{url}/api/me").json()["round"] is None
        code = f"""
from pathlib import Path
from adde_ray.review.store import Item, Store, place
store = Store.open(*place(Path({str(run)!r})))
store.publish([Item("0" * 32, 0, 0, "new", "text", "hello", "A", 0.5)])
"""
        subprocess.run([sys.executable, "-c", code], check=True)
        time.sleep(1.1)  # what is told of progress may be so old
        with httpx.Client(base_url=url) as http:
            assert http.get("/api/me").json()["progress"]["asked"] == 1
            assert http.get("/api/next").json()["samples"][0]["text"] == "hello"

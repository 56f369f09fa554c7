"""The real Label Studio: the query is pushed, people annotate, their answers are pulled, and the run goes on."""

from __future__ import annotations

import pytest
from bridged import picture, questions
from label_studio import PROGRAM, TOKEN, serve
from small import config, rows, write

from adde_ray.errors import UserError
from adde_ray.loop import run as run_loop
from adde_ray.review.bridges import commands
from adde_ray.review.bridges.label_studio_server import KEY, Server
from adde_ray.review.bridges.take import check

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not PROGRAM.exists(), reason="make label-studio"),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("label-studio")) as started:
        yield started


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv(KEY, TOKEN)


def project_of(client, told: str) -> int:
    [title] = [line for line in told.splitlines() if " project " in line]
    return int(title.split(" project ")[1].split()[0])


def test_a_run_is_answered_in_label_studio(client, ray_cluster, tmp_path, capsys, monkeypatch):
    settings = config(write(tmp_path / "rows.parquet", rows()), review={"annotator": "file"})
    folder = tmp_path / "run"
    assert run_loop(settings, folder)["status"] == "awaiting_review"
    capsys.readouterr()

    commands.push(folder, client.url)
    told = capsys.readouterr().out
    project = project_of(client, told)
    assert "made project" in told and "pushed 5 of the 5 samples that round 0 asks about\n" in told
    tasks = client.tasks(project)
    assert [task["data"]["rank"] for task in tasks] == sorted(task["data"]["rank"] for task in tasks)
    commands.push(folder, client.url)
    told = capsys.readouterr().out
    assert f"found project {project}" in told and "pushed 0 of the 5 samples" in told
    assert len(client.tasks(project)) == 5

    # What they choose may be what was suggested or not; one is rejected with the label that stood there, one skipped.
    for task, label in zip(tasks[:3], "abc", strict=True):
        client.annotate(task["id"], label=label, comment="seen")
    client.annotate(tasks[3]["id"], label="a", action="reject")
    client.annotate(tasks[4]["id"])
    commands.pull(folder, client.url)
    told = capsys.readouterr().out
    assert ": 4, of them new: 4\nskipped there: 1\n" in told
    client.annotate(tasks[4]["id"], label="c")
    access = client("POST", "/api/token/")["token"]
    monkeypatch.setenv(KEY, access)  # the newer kind of token
    for new in (1, 0):
        commands.pull(folder, client.url)
        told = capsys.readouterr().out
        assert f": 5, of them new: {new}\n" in told and access not in told

    found = run_loop(settings, folder, resume=True)
    assert found["status"] == "awaiting_review" and found["num_labels"] == 5
    assert found["answers"]["reject"] == 1 and sum(found["answers"].values()) == 5
    capsys.readouterr()
    commands.push(folder, client.url)
    told = capsys.readouterr().out
    assert f"found project {project}" in told and "pushed 5 of the 5 samples that round 1 asks about" in told
    tasks = client.tasks(project)
    assert len(tasks) == 10 and [task["data"]["round"] for task in tasks] == [0] * 5 + [1] * 5
    for task in tasks[5:]:
        client.annotate(task["id"], label="a")
    commands.pull(folder, client.url)
    assert "about earlier rounds, whose answers were taken: 5\n" in capsys.readouterr().out
    assert run_loop(settings, folder, resume=True)["status"] == "finished"


@pytest.mark.parametrize("multi", [False, True], ids=["single", "multi"])
@pytest.mark.parametrize("modality", ["image", "text"])
def test_every_kind_of_task_comes_back(client, modality, multi):
    asked = questions(modality, multi=multi, run=f"{len(modality):08x}{multi:08x}")
    server = Server(client.url)
    done = server.push(asked)
    assert done.made and done.tasks == len(asked.asked) and server.push(asked).tasks == 0
    tasks = client.tasks(done.project)
    assert [task["data"]["sample_id"] for task in tasks] == [question.sample_id for question in asked.asked]
    for task, question in zip(tasks, asked.asked, strict=True):
        names = asked.suggested(question) or ["none"]
        client.annotate(task["id"], label=names, **({"unknown": asked.classes[-1]} if multi else {}))
    read, where = server.pull(asked)
    found = check(asked, read, where)
    assert [one.sample_id for one in found.answers] == [question.sample_id for question in asked.asked]
    assert {one.annotator for one in found.answers} == {"owner@example.org"}
    if multi:
        assert all("?café" in one.label for one in found.answers)
    else:
        assert {one.action for one in found.answers} == {"accept"}


def test_pictures_are_shown_as_they_are(client):
    asked = questions("image", run="00000000000000ff")
    project = Server(client.url).push(asked).project
    [first, *_] = client.tasks(project)
    request = client.url + first["data"]["image"]
    import urllib.request

    opened = urllib.request.Request(request, headers={"Authorization": f"Token {TOKEN}"})
    with urllib.request.urlopen(opened, timeout=60) as response:
        assert response.read() == picture(0)


def test_what_the_server_refuses_is_one_line(client, monkeypatch):
    with pytest.raises(UserError, match=r"answers with the error 404 \(got '.*No Project matches"):
        Server(client.url, project=99_999).push(questions())
    with pytest.raises(UserError, match="has no project of this run"):
        Server(client.url).pull(questions(run="0" * 15 + "9"))
    for wrong in ("0" * 40, "a.b.c"):
        monkeypatch.setenv(KEY, wrong)
        with pytest.raises(UserError, match=f"does not accept the access token .* Set {KEY}") as error:
            Server(client.url).push(questions())
        assert wrong not in str(error.value)

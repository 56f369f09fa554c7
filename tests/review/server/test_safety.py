"""Who gets in, what pages from elsewhere can do, and what is read of the disk."""

import re

import pytest
from asked import items
from review_server import Browser, Served, about, png

from adde_ray.errors import UserError
from adde_ray.review.server.guard import HEADERS, Failures
from adde_ray.review.server.guide import read_guide
from adde_ray.review.server.serve import is_loopback, serve

ID = "0" * 32


@pytest.fixture
def served(store, tmp_path) -> Served:
    run = about(tmp_path / "run", modality="image")
    for round_ in (0, 1):
        run.images(round_).mkdir(parents=True)
    (run.images(0) / f"{ID}.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(b"secret")
    store.publish(items(2))
    return Served(store, run)


# --- signing in ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["me", "next", "mine", "classes", "overview", "confusions", "samples", "tasks/1/why", f"images/0/{ID}.png",
             "map/0", "guide/x.png"]
)  # fmt: skip
def test_nothing_is_told_to_who_is_not_signed_in(served, path):
    told = Browser(served.app).get(f"/api/{path}")
    assert told.status_code == 401 and told.json() == {"error": "sign in first"}


@pytest.mark.parametrize("path", ["answers", "undo", "sign-out", "classes", "again", "tasks/1/comments", "samples"])
def test_nothing_is_changed_by_who_is_not_signed_in(served, path):
    bodies = {"answers": {"answers": []}, "classes": {"name": "x"}, "again": {"sample_ids": [ID], "reason": "x"}}
    bodies |= {"tasks/1/comments": {"text": "x"}, "samples": {"sample_ids": []}}
    assert Browser(served.app).post(f"/api/{path}", bodies.get(path, {})).status_code == 401


@pytest.mark.parametrize("path", ["overview", "confusions", "samples"])
def test_annotators_do_not_see_what_is_the_owners(served, path):
    assert served.browser("ann").get(f"/api/{path}").status_code == 403
    assert served.browser("olga", "owner").get(f"/api/{path}").status_code == 200


def test_a_cookie_cannot_be_read_by_scripts_or_sent_by_other_sites(served):
    told = Browser(served.app).sign_in(served.store.invite("ann"))
    cookie = told.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie
    told = Browser(served.app, url="https://review.example").sign_in(served.store.invite("bob"))
    assert "Secure" in told.headers["set-cookie"]


def test_sessions_outlive_the_server_and_end_with_the_invitation(served):
    ann = served.browser("ann")
    again = Browser(Served(served.store, served.about).app)
    again.http.cookies, again.csrf = ann.http.cookies, ann.csrf
    assert again.get("/api/me").json()["csrf"] == ann.csrf
    served.store.revoke("ann")
    assert again.get("/api/me").status_code == 200  # for some seconds
    again.http.app.state.room.session_seconds = 0.0
    assert again.get("/api/me").status_code == 401


def test_sessions_end_by_themselves(served, clock):
    ann = served.browser("ann")
    served.app.state.room.session_seconds = 0.0
    clock.seconds += 31 * 24 * 3600
    assert ann.get("/api/me").status_code == 401


def test_wrong_tokens_have_to_wait(served):
    token, strangers = served.store.invite("ann"), Browser(served.app)
    assert [strangers.sign_in(f"wrong{i}").status_code for i in range(12)] == [401] * 10 + [429] * 2
    assert strangers.sign_in(token).status_code == 429
    assert Browser(served.app, address="elsewhere").sign_in(token).status_code == 200


def test_failures_are_forgotten_in_time_and_bounded(clock):
    failures = Failures(most=2, seconds=60, clock=clock)
    failures.add("a")
    clock.seconds += 30
    failures.add("a")
    assert failures.must_wait("a") == 30 and failures.must_wait("b") == 0
    clock.seconds += 30
    assert failures.must_wait("a") == 0
    for number in range(Failures.KNOWN + 5):
        failures.add(str(number))
    assert len(failures._failed) == Failures.KNOWN


# --- other sites -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["answers", "undo", "classes", "sign-out"])
def test_changes_need_the_page_own_token(served, path):
    ann = served.browser("ann")
    body = {"answers": {"answers": []}, "classes": {"name": "x"}}.get(path, {})
    for csrf in ("", "0" * 64, "é"):
        told = ann.http.post(f"/api/{path}", json=body, headers={"X-CSRF-Token": csrf.encode()})
        assert told.status_code == 403 and "X-CSRF-Token" in told.json()["error"]
    assert ann.post(f"/api/{path}", body).status_code == 200


def test_what_other_sites_can_send_is_refused(served):
    token = served.store.invite("ann")
    form = Browser(served.app)
    told = form.http.post("/api/sign-in", content=f'{{"token": "{token}"}}', headers={"Content-Type": "text/plain"})
    assert told.status_code == 415
    told = form.http.post("/api/sign-in", json={"token": token}, headers={"Origin": "http://evil.example"})
    assert told.status_code == 403 and "another site" in told.json()["error"]
    told = form.http.post("/api/sign-in", json={"token": token}, headers={"Origin": "http://localhost"})
    assert told.status_code == 200


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/me", "/nothing"])
def test_every_answer_says_what_a_page_may_do(served, path):
    told = Browser(served.app).get(path)
    assert {name: told.headers[name] for name in HEADERS} == HEADERS
    policy = told.headers["content-security-policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy


def test_the_page_has_no_script_or_style_of_its_own(served):
    html = Browser(served.app).get("/").text
    assert "<script" in html
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", html)


def test_a_request_has_a_largest_size(served):
    ann = served.browser("ann")
    big = {"answers": [], "x": "y" * 1_100_000}
    assert ann.post("/api/answers", big).status_code == 413
    headers = {"X-CSRF-Token": ann.csrf, "Content-Type": "application/json"}
    pieces = (b" " * 100_000 for _ in range(20))  # without a length beforehand
    assert ann.http.post("/api/answers", content=pieces, headers=headers).status_code == 413


# --- at this machine -------------------------------------------------------------------------------------


def test_who_sits_at_the_machine_is_let_in_while_nobody_is_invited(store, tmp_path):
    served = Served(store, about(tmp_path), local="me")
    mine = Browser(served.app)
    told = mine.get("/api/me").json()
    assert (told["name"], told["role"]) == ("me", "owner") and mine.get("/api/overview").status_code == 200
    assert mine.http.post("/api/undo", json={}, headers={"X-CSRF-Token": told["csrf"]}).status_code == 200
    assert mine.http.post("/api/undo", json={}).status_code == 403
    store.invite("ann")
    assert mine.get("/api/me").status_code == 401 and mine.get("/api/next").status_code == 401


def test_a_name_that_leads_here_from_elsewhere_is_not_answered(store, tmp_path):
    served = Served(store, about(tmp_path), local="me")
    for host in ("http://evil.example", "http://localhost.evil.example:8765"):
        assert Browser(served.app, url=host).get("/api/me").status_code == 421
    for host in ("http://127.0.0.1:8765", "http://[::1]:8765", "http://localhost"):
        assert Browser(served.app, url=host).get("/api/me").status_code == 200


@pytest.mark.parametrize(("host", "home"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
                                            ("::", False), ("192.168.1.2", False), ("example.org", False)])  # fmt: skip
def test_only_this_machine_is_home(host, home):
    assert is_loopback(host) == home


def test_beyond_this_machine_tokens_are_required(store, tmp_path):
    for host in ("0.0.0.0", "::"):
        with pytest.raises(UserError, match="nobody is let in without a token"):
            serve(store, about(tmp_path), host=host, port=0, local="me", tell=print)


def test_a_port_that_is_taken_is_one_line(store, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="cannot listen there"):
            serve(store, about(tmp_path), host="127.0.0.1", port=taken.getsockname()[1], local="me", tell=print)


# --- the disk --------------------------------------------------------------------------------------------


def test_an_image_is_served_as_it_is_or_smaller(served):
    ann = served.browser("ann")
    whole = ann.get(f"/api/images/0/{ID}.png")
    assert whole.content == png() and whole.headers["content-type"] == "image/png"
    small = ann.get(f"/api/images/0/{ID}.png", thumb=16)
    assert small.headers["content-type"] == "image/jpeg" and len(small.content) < 1_000
    assert ann.get(f"/api/images/0/{ID}.png", bands="0,0,0").headers["content-type"] == "image/png"
    assert ann.get(f"/api/images/0/{ID}.png", bands="7").status_code == 404
    assert ann.get(f"/api/images/0/{ID}.png", thumb=100_000).status_code == 422


@pytest.mark.parametrize(
    "name",
    [
        "../../../../secret.png", "..%2f..%2f..%2f..%2fsecret.png", "%2e%2e/%2e%2e/secret.png", "secret.png",
        f"{ID}.svg", f"{ID}.png%00", f"{ID}.png/", f"{ID}", "map.json", f"{'f' * 32}.png", f"{ID}A.png", "//etc/passwd",
    ],
)  # fmt: skip
def test_nothing_but_images_of_the_round_is_read(served, name):
    ann = served.browser("ann")
    (served.about.images(0) / "map.json").write_text("{}")
    assert ann.get(f"/api/images/0/{name}").status_code == 404
    assert ann.get(f"/api/images/..%2f0/{ID}.png").status_code in (404, 422)


def test_links_lead_nowhere(served, tmp_path):
    ann = served.browser("ann")
    (served.about.images(1) / f"{ID}.png").symlink_to(tmp_path / "secret.png")
    assert ann.get(f"/api/images/1/{ID}.png").status_code == 404


def test_a_damaged_image_is_one_line(served):
    (served.about.images(0) / f"{'1' * 32}.png").write_bytes(b"no image")
    told = served.browser("ann").get(f"/api/images/0/{'1' * 32}.png", thumb=64)
    assert told.status_code == 415 and "cannot be drawn" in told.json()["error"]


def test_the_guide_shows_its_pictures_and_nothing_else(store, tmp_path):
    folder = tmp_path / "guide"
    folder.mkdir()
    (folder / "a cat.png").write_bytes(png())
    (folder / "other.png").write_bytes(png())
    (folder / "guide.md").write_text(
        "# Rules\n<script>alert(1)</script>\n![cat](<a cat.png>) ![no](../secret.png) [x](javascript:alert(1))"
        " [y](https://example.org)\n\n| a |\n|---|\n| 1 |\n"
    )
    guide = read_guide(folder / "guide.md")
    assert "<script" not in guide.html and "javascript:" not in guide.html.replace("(javascript:alert(1))", "")
    assert "<h1>Rules</h1>" in guide.html and "<table>" in guide.html and 'rel="noopener noreferrer"' in guide.html
    assert set(guide.pictures) == {"a cat.png"}
    ann = Served(store, about(tmp_path, guide=guide)).browser("ann")
    assert ann.get("/api/me").json()["guide_html"] == guide.html
    assert ann.get("/api/guide/a cat.png").content == png()
    assert ann.get("/api/guide/other.png").status_code == 404 and ann.get("/api/guide/guide.md").status_code == 404


def test_a_guide_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UserError, match="the guide cannot be read"):
        read_guide(tmp_path / "none.md")
    (tmp_path / "big.md").write_bytes(b"x" * 1_100_000)
    with pytest.raises(UserError, match="the guide is too large"):
        read_guide(tmp_path / "big.md")


def test_unknown_places_are_one_line(served):
    ann = served.browser("ann")
    for path in (
        "/api/nothing",
        "/docs",
        "/openapi.json",
        "/api/images/0",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
    ):
        told = ann.get(path)
        assert told.status_code == 404 and set(told.json()) == {"error"}, path
    assert ann.get("/api/next", n=-1).status_code == 422 and ann.get("/api/next", **{"not": "x"}).status_code == 422
    assert ann.get("/api/mine", round=2**40).status_code == 422


def test_a_store_that_is_gone_is_told(served, monkeypatch):
    from adde_ray.review.store.database import Unreachable

    ann = served.browser("ann")

    def gone(*_, **__):
        raise Unreachable("the store cannot be used: it is gone")

    monkeypatch.setattr(served.store, "lease", gone)
    told = ann.get("/api/next")
    assert told.status_code == 503 and "it is gone" in told.json()["error"]

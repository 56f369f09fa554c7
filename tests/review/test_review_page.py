"""The page in Chromium, on the real server and store: what people do there, and what is kept of it."""

from __future__ import annotations

import numpy as np
import pytest
import review_page

from adde_ray.artifacts.images import encode_images
from adde_ray.review.bands import all_bands
from adde_ray.review.store import Item, Store

pytest.importorskip("fastapi")
pytest.importorskip("playwright")

DIGITS = tuple(map(str, range(10)))

HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>\u202e\"'&"


@pytest.fixture(scope="module")
def browser():
    with review_page.chromium() as started:
        yield started


@pytest.fixture
def make_room(tmp_path, browser):
    """(items, …) → a room that asks them."""
    from contextlib import ExitStack

    from adde_ray.review.server.about import About
    from adde_ray.review.server.app import make_app

    with ExitStack() as stack:

        def make(items: list[Item], classes=DIGITS, **about) -> review_page.Room:
            store = Store.open(f"sqlite:///{tmp_path / 'store.sqlite'}", review_page.RUN)
            stack.callback(store.shut)
            store.publish(items)
            known = About(
                root=tmp_path, name="a run", modality=items[0].modality, classes=classes, **{"multi": False} | about
            )
            address = stack.enter_context(review_page.serve(make_app(store, known)))
            return review_page.Room(store, address, browser)

        yield make


@pytest.fixture
def images(tmp_path):
    """(number) → items that ask about so many images."""
    folder = tmp_path / "rounds" / "000" / "review"

    def make(number: int, **more) -> list[Item]:
        names = review_page.draw(folder, number)
        review_page.map_of(folder, names)
        about = {"round": 0, "kind": "new", "modality": "image", "suggested": "4", "confidence": 0.5} | more
        return [Item(name[:32], rank=rank, payload=name, **about) for rank, name in enumerate(names)]

    return make


def texts(*said: str, **more) -> list[Item]:
    about = {"round": 0, "kind": "new", "modality": "text"} | more
    return [Item(f"{rank:032x}", rank=rank, payload=text, **about) for rank, text in enumerate(said)]


def test_a_round_by_keyboard(make_room, images):
    """Every way to decide, an undo, a reload in mid-round, a proposed class; then nothing is left."""
    room = make_room(images(9))
    ann = room.enter("ann")
    assert "token" not in ann.page.url
    first = ann.sample()
    ann.press("3", "r")
    third = ann.sample()
    ann.press("f")
    ann.page.wait_for_selector("dialog[open]")
    ann.press("2", "Enter")
    ann.until(f"document.querySelector('#stage').dataset.task !== '{third}'")
    ann.press("u")
    ann.until(f"document.querySelector('#stage').dataset.task === '{third}'")
    ann.press("7")
    ann.page.reload()
    fourth = ann.sample()
    ann.press("g")
    ann.page.wait_for_selector("[data-panel=guess]")
    ann.press("a")
    fifth = ann.sample()
    ann.press("l", "/")
    ann.page.keyboard.type("half a seven")
    sixth = ann.sample()
    ann.press("Enter")
    ann.until(f"document.querySelector('#stage').dataset.task !== '{sixth}'")
    while ann.page.locator("#stage[data-task]").count():
        ann.press("1")
        ann.saved()
    said = room.said("ann")
    assert [said[task] for task in (first, first + 1, third, fourth, fifth, sixth)] == [
        "3", "reject", "7", "4", "1", "new:half a seven",
    ]  # fmt: skip
    assert len(said) == 9
    rows = {row["task"]: row for row in room.store.answers().iter_rows(named=True)}
    assert rows[fourth]["saw_guess"] and rows[fourth]["action"] == "accept" and not rows[first]["saw_guess"]
    assert [(one.name, one.by) for one in room.store.classes()] == [("half a seven", "ann")]
    ann.page.wait_for_selector("#stage:has-text('Round 0 is done')")
    assert room.errors == []


def test_the_grid(make_room, images):
    """A click, a range, a rectangle, a lasso on the map; each confirmed once, the last taken back."""
    room = make_room(images(24))
    ann = room.enter("ann", view="grid")
    tiles = ann.page.locator(".tiles .tile")
    ann.page.wait_for_selector(".tiles .tile >> nth=23")
    tasks = [
        int(task) for task in ann.page.eval_on_selector_all(".tile", "(all) => all.map((one) => one.dataset.task)")
    ]
    tiles.nth(0).click()
    tiles.nth(3).click(modifiers=["Shift"])
    ann.press("5", "Enter")
    begin, end = tiles.nth(0).bounding_box(), tiles.nth(1).bounding_box()
    ann.page.mouse.move(begin["x"] - 4, begin["y"] - 4)
    ann.page.mouse.down()
    ann.page.mouse.move(end["x"] + 20, end["y"] + 20, steps=3)
    ann.page.mouse.up()
    ann.press("6", "Enter")
    ann.page.click("summary")
    canvas = ann.page.locator("canvas")
    ann.page.wait_for_selector(".legend span")
    box = canvas.bounding_box()
    right, bottom = box["x"] + box["width"] - 2, box["y"] + box["height"] / 2
    ann.page.mouse.move(box["x"] + box["width"] / 2, bottom)
    ann.page.mouse.down()
    for x, y in ((right, bottom), (right, box["y"] + 2), (box["x"] + box["width"] / 2, box["y"] + 2)):
        ann.page.mouse.move(x, y, steps=4)
    ann.page.mouse.up()
    ann.press("8", "Enter")
    ann.press("Control+a", "r", "Enter")
    ann.saved()
    said = room.said("ann")
    assert [said[task] for task in tasks[:6]] == ["5"] * 4 + ["6"] * 2
    assert [said[task] for task in tasks[6:]] == ["reject"] * 6 + ["8"] * 12
    ann.press("u")
    ann.saved()
    assert len(room.said("ann")) == 18
    assert tiles.count() == 6
    assert room.errors == []


def test_bands_are_chosen(make_room, images, tmp_path):
    """For this sample and those that come."""
    folder, items = tmp_path / "rounds" / "000" / "review", images(3)
    planes = np.stack([np.full((6, 6), 50 * band, np.uint8) for band in range(5)])
    for item in items:
        all_bands(folder / item.payload).write_bytes(encode_images(planes[None])[0])
    room = make_room(items)
    ann = room.enter("ann")
    ann.sample()
    ann.page.select_option(".bands select >> nth=0", label="band 5")
    seen = "(() => { const at = document.querySelector('#stage img'); return at.complete && at.naturalWidth && at })()"
    for _ in range(2):
        ann.until(f"{seen} && {seen}.src.endsWith('bands=4%2C1%2C2')")
        pixel = f"""(() => {{ const pen = document.createElement('canvas').getContext('2d');
            pen.drawImage({seen}, 0, 0); return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3); }})()"""
        assert ann.page.evaluate(pixel) == [200, 50, 100]
        ann.press("1")
    ann.saved()
    assert room.errors == []


def test_nothing_is_lost_while_the_server_is_away(make_room):
    room = make_room(texts(*(f"sentence {number}" for number in range(12))), classes=("a", "b"))
    ann = room.enter("ann")
    ann.sample()
    ann.page.route("**/api/answers", lambda route: route.abort())
    ann.press("1", "2", "1")
    ann.until("document.querySelector('#saved').textContent === 'offline, 3 unsent'")
    ann.press("u")  # nobody else can know of the last one
    ann.until("document.querySelector('#saved').textContent === 'offline, 2 unsent'")
    ann.page.reload()
    ann.until("document.querySelector('#saved').textContent === 'offline, 2 unsent'")
    shown = ann.sample()
    ann.page.unroute("**/api/answers")
    ann.saved()
    # What a page sends as it closes may have arrived before: nothing is there twice.
    assert room.store.answers(in_effect=False)["label"].to_list() == ["a", "b"]
    assert shown not in room.said("ann")


def test_nobody_answers_for_somebody_else(make_room):
    """Where another person signs in in the same browser, what the first one has not sent waits for them."""
    room = make_room(texts("one", "two", "three"), classes=("a", "b"))
    ann = room.enter("ann")
    task = ann.sample()
    other = review_page.Visitor(ann.page.context.new_page(), room.address)
    token = room.store.invite("bob", "annotator")
    other.page.goto(f"{room.address}#token={token}")
    other.page.wait_for_selector("#person:has-text('bob')")
    ann.press("1")
    ann.page.wait_for_selector("#sign-in")
    assert room.said("ann") == room.said("bob") == {}
    token = room.store.revoke("ann") or room.store.invite("ann", "annotator")
    ann.page.fill("#token", token)
    ann.press("Enter")
    ann.page.wait_for_selector("#person:has-text('ann')")
    ann.saved()
    assert room.said("ann") == {task: "a"} and room.said("bob") == {}


def test_an_answer_of_an_earlier_round_is_amended(make_room):
    room = make_room(texts("the first", "the second"), classes=("a", "b"))
    ann = room.enter("ann")
    ann.sample()
    ann.press("1", "1")
    ann.saved()
    room.store.close(0)
    room.store.publish(texts("the first", round=1))
    ann.go("mine")
    ann.page.click("tr:has-text('the second') button")
    ann.page.click("dialog .class[data-name=b]")
    ann.page.wait_for_selector("dialog .changes li")
    assert "Round 0 is closed" in ann.page.text_content("dialog .changes")
    assert sorted(room.said("ann").values()) == ["a", "a"]
    ann.page.click("dialog button.main")
    ann.until("!document.querySelector('dialog')")
    ann.saved()
    assert sorted(room.said("ann").values()) == ["a", "b"]
    assert room.errors == []


def test_several_classes_at_once(make_room):
    room = make_room(texts("one", "two", "three"), classes=("Edema", "Fracture", "Rust"), multi=True)
    ann = room.enter("ann")
    ann.sample()
    ann.press("2", "Shift+1", "Enter", "n")
    ann.press("/")
    ann.page.keyboard.type("?ru")
    ann.press("Enter", "1", "Enter")
    ann.saved()
    assert list(room.said("ann").values()) == ["Fracture|?Edema", "", "Edema|?Rust"]
    assert room.errors == []


def test_what_people_and_data_say_never_becomes_markup(make_room, tmp_path):
    from adde_ray.review.server.guide import read_guide

    (tmp_path / "guide.md").write_text(f"# Rules\n\n{HOSTILE}\n\n[x](javascript:alert(1))")
    near = [{"sample_id": "0" * 32, "label": HOSTILE, "payload": HOSTILE}]
    why = {"sentence": HOSTILE, "gap": {"gap_id": "1", "words": HOSTILE, "exemplars": near}, "neighbours": near}
    items = texts(*[HOSTILE] * 3, suggested=HOSTILE, why=why)
    room = make_room(items, classes=(HOSTILE, "b"), guide=read_guide(tmp_path / "guide.md"))
    name = HOSTILE.replace("\u202e", "")[:80]
    ann = room.enter(name)
    task = ann.sample()
    room.store.comment(items[0].sample_id, name, HOSTILE)
    room.store.propose_class(HOSTILE[:60], name)
    ann.page.reload()
    ann.sample()
    ann.press("g", "w", "/")
    ann.page.wait_for_selector("[data-panel=why]")
    ann.page.wait_for_selector("[data-panel=comments]")
    ann.press("Escape", "1")
    ann.saved()
    assert room.said(name)[task] == HOSTILE
    owner = room.enter("owner", "owner", view="owner")
    owner.page.wait_for_selector(".confusions, #live-people tr")
    for view in ("mine", "grid"):
        ann.go(view)
        ann.page.wait_for_selector("td.sample, .tiles .tile")
    for visitor in (ann, owner):
        assert visitor.page.evaluate("window.hacked") is None
        assert visitor.page.locator("main img[src=x], main script").count() == 0
    assert room.errors == []


def test_an_owner_settles_and_asks_again(make_room, images):
    room = make_room(images(4), overlap=2)
    for name, keys in (("ann", "1122"), ("bo", "1132")):
        visitor = room.enter(name)
        for key in keys:
            visitor.sample()
            visitor.press(key)
        visitor.saved()
        visitor.close()
    room.store.propose_class("half a seven", "bo")
    owner = room.enter("olga", "owner", view="owner")
    page = owner.page
    page.wait_for_selector("#live-people tr:has-text('bo')")
    assert page.locator("#live-disagreements .tile").count() == 1
    page.click("#live-disagreements .tile button:text-is('3')")
    page.wait_for_selector("#live-disagreements :text('None')")
    assert room.said("olga") == {3: "3"}
    page.click("#live-proposed button:has-text('Adopt')")
    page.wait_for_selector("#live-proposed :text('None')")
    assert [one.state for one in room.store.classes()] == ["adopt"]
    page.select_option("#confused", "ann")
    page.click(".confusions button[aria-label^='2: settled as 1, answered 1']")
    page.wait_for_selector("dialog .sheet .tile >> nth=1")
    page.click("dialog button.main")
    owner.until("!document.querySelector('dialog')")
    page.locator("canvas").scroll_into_view_if_needed()
    box = page.locator("canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 14, box["y"] + 14)  # the last of the diagonal
    page.wait_for_selector("dialog .sheet .tile")
    page.click("dialog button.main")
    page.wait_for_selector("#notice:has-text('asked about again')")
    wanted = [(one.sample_id, one.by) for one in room.store.wanted_again()]
    assert wanted == [(f"{row:032x}", "olga") for row in (0, 1, 3)]
    assert room.errors == []


@pytest.mark.parametrize(
    "settings",
    [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}],
    ids=("light", "dark", "phone"),
)
def test_axe_finds_nothing_serious(make_room, images, settings):
    """In any view; and nothing is wider than a phone."""
    room = make_room(images(5, why={"sentence": "It lies between 3 and 8.", "U": 0.5}))
    owner = room.enter("olga", "owner", **settings)
    owner.sample()
    owner.press("3", "g", "w")
    owner.page.wait_for_selector("[data-panel=why]")
    found = {"one": review_page.violations(owner.page)}
    owner.press("f")
    owner.page.wait_for_selector("dialog")
    found["dialog"] = review_page.violations(owner.page)
    owner.press("Escape")
    ready = {"grid": ".tiles .tile", "mine": "td.sample", "owner": "#live-people td"}
    for view, what in ready.items():
        owner.go(view)
        owner.page.wait_for_selector(what)
        found[view] = review_page.violations(owner.page)
        assert owner.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not any(found.values()), found
    assert room.errors == []

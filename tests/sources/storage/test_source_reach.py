"""What the cells of a table may name."""

import socket
import threading

import pytest
from pictures import picture

from adde_ray.config import Config
from adde_ray.config.data import CsvData, FolderData
from adde_ray.errors import UserError
from adde_ray.sources.images import image_folder
from adde_ray.sources.storage import files
from adde_ray.sources.storage.files import Path, at
from adde_ray.sources.storage.reach import Reach
from adde_ray.sources.storage.walking import OUTSIDE
from adde_ray.sources.tables import table


def refused(reach: Reach, cell: str) -> str:
    with pytest.raises(UserError) as error:
        reach.find(cell)
    return error.value.what


@pytest.fixture
def stranger():
    """A server that keeps what it is sent: its address, and the list of that."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(65536))

        threading.Thread(target=listen, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", heard


@pytest.mark.parametrize("at_root", ["s3://ours/table", "s3://ours/table?region=eu-west-1", None])
def test_a_cell_sends_no_credentials_to_a_stranger(stranger, tmp_path, monkeypatch, at_root):
    address, heard = stranger
    for name, value in (("ACCESS_KEY_ID", "id"), ("SECRET_ACCESS_KEY", "key"), ("SESSION_TOKEN", "token")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    options = f"endpoint_override={address}&scheme=http"
    cells = [
        f"s3://ours/table/x.png?{options}", f"s3://x/y.png?{options}", f"s3://ours/table/x.png?a=b?{options}",
        f"gs://x/y.png?{options}", f"s3://id:key@ours/table/x.png?{options}", f"s3://ours@{address}/table/x.png",
        f"S3://x/y.png?{options}", f"http://{address}/x.png", f"s3://{address}/x.png", f"file://{address}/x.png",
    ]  # fmt: skip
    reach = Reach(tmp_path, [at_root] if at_root else [])
    assert all(refused(reach, cell) for cell in cells)

    for i in range(8):
        picture(20 * i).save(tmp_path / f"{i}.png")
    named = [*(f"{i}.png" for i in range(8)), *cells]
    rows = "\n".join(f"{cell},{'ab'[i % 2] if i < 4 else ''}" for i, cell in enumerate(named))
    (tmp_path / "t.csv").write_text(f"image,label\n{rows}\n")
    roots = (at_root,) if at_root else ()
    config = CsvData(source="table", path=tmp_path / "t.csv", image_column="image", max_rejected=0.9, roots=roots)
    read = table.read(config, seed=0)
    assert len(read.rejected) == len(cells) and not heard


def test_a_cell_leads_nowhere_but_below_its_table(tmp_path):
    (tmp_path / "set" / "pics").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.png").touch()
    (tmp_path / "set" / "out.png").symlink_to(tmp_path / "other" / "x.png")
    (tmp_path / "set" / "way").symlink_to(tmp_path / "other")
    (tmp_path / "set" / "in.png").symlink_to(tmp_path / "set" / "pics" / "y.png")
    (tmp_path / "setting").mkdir()
    reach = Reach(tmp_path / "set")
    for cell in ("pics/y.png", "pics/../z.png", "./pics//y.png", "in.png", f"{tmp_path}/set/pics/y.png", "gone/x.png"):
        assert reach.find(cell).name.endswith(".png"), cell
    outside = (
        "../other/x.png", f"{tmp_path}/other/x.png", "/etc/passwd", "out.png", "way/x.png", "pics/../../other/x.png",
        "../setting/x.png", f"file://{tmp_path}/other/x.png", "/proc/self/environ", "/dev/zero", "..", "/", "way",
    )  # fmt: skip
    for cell in outside:
        assert "lies outside" in refused(reach, cell), cell
    assert refused(reach, "a\0b.png") == "names no file"
    wider = Reach(tmp_path / "set", [tmp_path / "other"])
    for cell in ("out.png", "way/x.png", "../other/x.png", f"file://{tmp_path}/other/x.png"):
        assert wider.find(cell).exists(), cell
    assert "lies outside" in refused(wider, "/etc/passwd")


def test_a_cell_leads_nowhere_but_below_its_table_in_a_bucket():
    reach = Reach(at("s3://ours/set?region=eu-west-1"), ["gs://anonymous@theirs/pics"])
    for cell in ("a/x.png", "s3://ours/set/a/x.png", "./a/b/../x.png"):
        assert str(reach.find(cell)) == "s3://ours/set/a/x.png"
        assert reach.find(cell).query == "region=eu-west-1"
    assert str(reach.find("a//x?.png")) == "s3://ours/set/a//x?.png"  # a key of its own
    assert reach.find("gs://theirs/pics/x.png").user == "anonymous"
    for cell in (
        "../x.png",
        "/etc/passwd",
        "s3://ours/setting/x.png",
        "s3://ours/set/../x.png",
        "s3://theirs/pics/x.png",
        "gs://ours/set/x.png",
        "file:///etc/passwd",
        "a/../../x.png",
        "//ours/set/x.png",
        "s3://ours/x.png",
    ):
        assert "lies outside" in refused(reach, cell), cell


def test_roots_are_relative_to_the_config(tmp_path):
    (tmp_path / "c.toml").write_text(
        '[data]\nsource = "table"\npath = "csv/t.csv"\nimage_column = "image"\nroots = ["pics", "s3://ours/x?region=y"]\n'
    )
    parsed = Config.load(tmp_path / "c.toml")
    assert parsed.data.roots == (tmp_path / "pics", "s3://ours/x?region=y")
    assert Config.parse(parsed.model_dump(mode="json")) == parsed
    assert isinstance(files.at(parsed.data.roots[0]), Path)


def test_links_lead_nowhere_but_below_the_data(tmp_path):
    (tmp_path / "other").mkdir()
    for name in ("labelled/a", "labelled/b", "unlabelled"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(4):
            picture(len(name) * 10 + i).save(tmp_path / "set" / name / f"{i}.png")
    picture(77).save(tmp_path / "other" / "x.png")
    (tmp_path / "set" / "unlabelled" / "out.png").symlink_to(tmp_path / "other" / "x.png")
    (tmp_path / "set" / "unlabelled" / "passwd.png").symlink_to("/etc/passwd")
    (tmp_path / "set" / "labelled" / "way").symlink_to(tmp_path / "other")
    (tmp_path / "set" / "unlabelled" / "all").symlink_to("/")
    (tmp_path / "set" / "unlabelled" / "in.png").symlink_to(tmp_path / "set" / "unlabelled" / "1.png")
    config = FolderData(source="image_folder", path=tmp_path / "set", max_rejected=0.9)
    rows = image_folder.read(config, seed=0).whole()
    lost = ("labelled/way", "unlabelled/all", "unlabelled/out.png", "unlabelled/passwd.png")
    assert {r["where"]: r["reason"] for r in rows.rejected} == dict.fromkeys(lost, OUTSIDE)
    assert rows.classes == ("a", "b") and len(rows.splits["pool"]) == 5
    wider = config.model_copy(update={"roots": (tmp_path / "other",)})
    rows = image_folder.read(wider, seed=0).whole()
    assert rows.classes == ("a", "b", "way") and len(rows.splits["pool"]) == 6

    (tmp_path / "pool").mkdir()
    (tmp_path / "other" / "p.csv").write_text("text\nhello\n")
    (tmp_path / "t.csv").write_text("text,label\na,x\nb,y\nc,x\nd,y\n")
    (tmp_path / "pool" / "p.csv").symlink_to(tmp_path / "other" / "p.csv")
    (tmp_path / "pool" / "q.csv").write_text("text\nwell\n")
    for pool in ("pool", "pool/*.csv"):
        given = CsvData(source="csv", path=tmp_path / "t.csv", pool=tmp_path / pool, text_column="text")
        assert [r["reason"] for r in table.read(given, seed=0).rejected] == [OUTSIDE]
        given = given.model_copy(update={"roots": (tmp_path / "other",)})
        assert len(table.read(given, seed=0).whole().splits["pool"]) == 2

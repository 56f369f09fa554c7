"""Fixtures that tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # what a test finds must not depend on what can be reached


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the work, a file's tests stay together, and so do all that need the cluster."""
    need_ray = {item.path for item in items if "ray_cluster" in item.fixturenames}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("ray" if item.path in need_ray else item.path.stem))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A local Ray with four CPUs, started once for all tests that ask for it."""
    import ray

    ray.shutdown()  # what a run in an earlier test has started
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium, where there is one."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--window-size=1200,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A folder that is the bucket "ours", and the query to reach it with."""
    from fake_bucket import serve

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "buckets" / "ours").mkdir(parents=True)
    (tmp_path / "buckets" / "private").mkdir()
    with serve(tmp_path / "buckets") as query:
        yield tmp_path / "buckets" / "ours", query

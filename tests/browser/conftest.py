"""A real Chromium, driven by its own driver; no network, no profile of anybody's."""

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.browser.window import Window
from tests.harness import Deployment

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
)
DESK = (1280, 900)
NEEDED = ("chromium", "chromedriver")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for all tests of a process: starting it takes longer than most of them."""
    programs = {name: shutil.which(name) for name in NEEDED}
    if missing := [name for name, path in programs.items() if path is None]:
        why = f"{', '.join(missing)} missing: apt-get install chromium chromium-driver"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    options = ChromeOptions()
    options.binary_location = str(programs["chromium"])
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"intl.accept_languages": "en"})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(programs["chromedriver"]))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def window(deployment: Deployment, chromium: Chrome) -> Iterator[Window]:
    """A browser window that speaks English; the test fails when its console has an error.

    It is a new one of its own, without cookies. It leaves the page before the deployment ends:
    losing that would be an error too.
    """
    assert deployment.web is not None, "there is nothing to look at"
    former = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    own = chromium.current_window_handle
    chromium.switch_to.window(former)
    chromium.close()
    chromium.switch_to.window(own)
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.set_window_size(*DESK)
    opened = Window(chromium)
    opened.errors()  # those of the window before
    try:
        yield opened
        assert not opened.errors(), "the console has errors"
    finally:
        chromium.get("about:blank")

"""What the tests do with a browser window."""

from collections.abc import Callable
from typing import Any, TypeVar

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.services.waiting import DeadlineMissedError, wait_until

T = TypeVar("T")

IN_BETWEEN = (NoSuchElementException, StaleElementReferenceException)
"""The page was being changed while it was looked at: look again."""


class Window:
    """One window of a browser."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Go to a page."""
        self.driver.get(url)

    def one(self, selector: str) -> WebElement:
        """Return the first element; NoSuchElementException without any."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements, in the page's order."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Return the visible text of the first element."""
        return self.one(selector).text

    def script(self, code: str, *values: object) -> Any:
        """Run JavaScript in the page."""
        return self.driver.execute_script(code, *values)

    def wait(self, predicate: Callable[[], T], seconds: float = 15.0, *, what: str) -> T:
        """Return the predicate's first true value."""

        def look() -> T | None:
            try:
                return predicate()
            except IN_BETWEEN:
                return None

        try:
            found = wait_until(look, seconds, what=what)
        except DeadlineMissedError as error:
            raise DeadlineMissedError(f"{error}; the page says:\n{self._said()}") from None
        assert found is not None, "wait_until returns true values only"
        return found

    def resize(self, width: int, height: int) -> None:
        """Take the size of another device."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def errors(self) -> list[str]:
        """Return what the console has said since the last call, warnings included."""
        told = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [f"{entry['level']}: {entry['message']}" for entry in told]

    def _said(self) -> str:
        try:
            return self.text("body")[:1500]
        except IN_BETWEEN:
            return "(nothing)"

"""Takes the screenshots of the README: the console with the sample images, in Chromium."""

import shutil
import sys
from pathlib import Path

import requests
from playwright.sync_api import Page, sync_playwright

from tests.support import postgres
from tests.support.images import IMAGES
from tests.support.service import serving_in_background, settings_for

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
MAX_BYTES = 150 * 1024


def main() -> None:
    """Write the screenshots."""
    chromium = shutil.which("chromium")
    if not chromium:
        sys.exit("screenshots: needs chromium")
    FOLDER.mkdir(exist_ok=True)
    with (
        postgres.running() as server,
        server.database() as dsn,
        serving_in_background(settings_for(dsn)) as url,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]) as browser,
    ):
        sample = (ROOT / "examples" / "image_list.json").read_bytes()
        requests.post(f"{url}{IMAGES}/_upload", files={"file": sample}, timeout=60).raise_for_status()
        page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="zh-CN")
        page.goto(f"{url}/console/images")
        page.wait_for_load_state("networkidle")
        _take(page, "console-list")
        page.get_by_role("link", name="algo/helmet_detect:2.1.0").click()
        page.wait_for_load_state("networkidle")
        _take(page, "console-record")


def _take(page: Page, name: str) -> None:
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path)
    if path.stat().st_size > MAX_BYTES:
        sys.exit(f"screenshots: {path.name} has more than {MAX_BYTES} bytes")


if __name__ == "__main__":
    main()

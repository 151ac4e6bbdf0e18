# SPDX-License-Identifier: Apache-2.0
"""Pictures of a report.html for docs: `screenshots.py REPORT FOLDER`. `make browser` installs what this needs."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from selenium import webdriver

_FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --hide-scrollbars"


def main(report: Path, folder: Path) -> None:
    """Take pictures of the top of the report (light, dark, on a phone), and of the first cell with a layout."""
    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*_FLAGS.split(), f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options)
        page = report.absolute().as_uri()
        with_picture = f"{page}#{_cell_with_a_picture(driver, page)}"
        for name, address, theme, width, height in (
            ("light", page, "light", 1280, 900),
            ("dark", page, "dark", 1280, 900),
            ("phone", page, "light", 400, 800),
            ("cell", with_picture, "light", 1180, 1500),
        ):
            _look(driver, address, theme, width, height)
            driver.save_screenshot(str(folder / f"report-{name}.png"))
        driver.quit()


def _cell_with_a_picture(driver: Any, page: str) -> str:
    driver.get(page)
    return str(driver.execute_script("return document.querySelector('article.cell:has(svg.layout)').id"))


def _look(driver: Any, address: str, theme: str, width: int, height: int) -> None:
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    )
    driver.get("about:blank")
    driver.get(address)
    driver.execute_script("document.querySelector('article:target')?.scrollIntoView({behavior: 'instant'})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

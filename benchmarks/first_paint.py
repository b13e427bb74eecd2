"""How soon the playground is seen: first contentful paint and first chart, over loopback, in headless Chromium.

    .venv/bin/python -m benchmarks.first_paint [--turns N]

Every turn is a browser context of its own, so nothing is cached; the first one is left out.
"""

import argparse
import statistics

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, ROOT, serving

_LOADED = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
  drawn: performance.now(),
  files: performance.getEntriesByType("resource")
    .filter(each => each.name.includes("/playground/")).map(each => [each.name, each.decodedBodySize]),
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    arguments = parser.parse_args()
    paints, charts, files = [], [], {}
    with serving(ROOT / "bundles") as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for turn in range(arguments.turns + 1):
            with browser.new_context() as context:
                page = context.new_page()
                page.goto(url)
                page.wait_for_selector(".chart canvas")
                loaded = page.evaluate(_LOADED)
                if turn:
                    paints.append(loaded["paint"])
                    charts.append(loaded["drawn"])
                files = {name.rpartition("/playground/")[2]: size for name, size in loaded["files"]}
        browser.close()
    for name, times in (("first paint", paints), ("first chart", charts)):
        print(f"{name}: median {statistics.median(times):.0f} ms, slowest {max(times):.0f} ms of {len(times)}")
    ours = sum(size for name, size in files.items() if not name.startswith("vendor/"))
    print(f"{len(files)} files: {ours / 1e3:.0f} kB of ours, {(sum(files.values()) - ours) / 1e3:.0f} kB of uPlot")


if __name__ == "__main__":
    main()

"""Pictures of every page of the console, against a server with something of everything in it.

python docs/_tools/screenshots.py [--out DIR] [--width 1280] [--narrow DIR] [--only home,job] [--all-dark]

Needs Chromium and requirements/browser.lock. With .venvs/notebooks there is a notebook in the pictures.
"""

import argparse
import base64
import os
import shutil
import struct
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import story

from clary.testing.server import Account, ClaryServer, end_agents

ROOT = Path(__file__).resolve().parents[2]
LAB = Path(os.environ.get("CLARY_TEST_NOTEBOOK_PYTHON", ROOT / ".venvs/notebooks/bin/python"))
HEIGHT, TALLEST, NARROW = 800, 1500, 320
MOST_BYTES = 150_000
BOTH = ("home", "job", "tuning-job", "evaluate", "experiment", "endpoint", "lineage", "group")
"""Pages that are shown in both themes."""
PIXELS = """async (source) => {
  const picture = await createImageBitmap(await (await fetch(source)).blob());
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const bytes = context.getImageData(0, 0, picture.width, picture.height).data;
  let text = "";
  for (let n = 0; n < bytes.length; n += 32768) text += String.fromCharCode(...bytes.subarray(n, n + 32768));
  return [picture.width, picture.height, btoa(text)];
}"""


def main() -> int:
    """Start, seed, look, stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs/images/console")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--narrow", type=Path, help="where to put pictures of 320 pixels, too")
    parser.add_argument("--only", default="", help="names of pages, with commas between")
    parser.add_argument("--all-dark", action="store_true", help="every page in the dark theme, too")
    chosen = parser.parse_args()
    for folder in filter(None, (chosen.out, chosen.narrow)):
        folder.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="clary-pictures-"))
    home.chmod(0o711)
    settings: dict[str, Any] = {"notebook_python": str(LAB)} if LAB.exists() else {}
    server = ClaryServer.start(home / "data", **settings)
    try:
        account = server.account("research")
        names = story.tell(account, has_notebooks=LAB.exists())
        _await(account, names)
        too_large = _look(account, _pages(names), chosen)
    finally:
        server.stop()
        end_agents(server.settings)
        shutil.rmtree(home, ignore_errors=True)
    for line in too_large:
        sys.stderr.write(f"{line}\n")
    return 1 if too_large else 0


def _pages(names: dict[str, str]) -> dict[str, str]:
    bucket = names["bucket"]
    predictions = quote("\n".join(f"s3://{bucket}/predictions/{name}.csv" for name in ("forest", "linear")))
    return {
        "home": "/",
        "data": "/data",
        "bucket": f"/data/{bucket}/churn/",
        "object": f"/data/{bucket}/churn/train/rows.csv",
        "jobs": "/jobs/training",
        "job": f"/jobs/training/{names['job']}",
        "running": f"/jobs/training/{names['running']}",
        "algorithms": f"/train?data=s3://{bucket}/churn/train/",
        "train": f"/train/xgboost?data=s3://{bucket}/churn/train/",
        "tune": f"/tune/{names['job']}",
        "deploy": f"/deploy/job/{names['job']}",
        "process": f"/process/script?data=s3://{bucket}/churn/train/",
        "schedules": "/schedules",
        "transform": f"/transform/job/{names['job']}",
        "transform-job": f"/jobs/transform/{names['transform']}",
        "register": f"/register/job/{names['job']}",
        "registry": "/registry",
        "group": f"/registry/{names['group']}",
        "package": f"/packages/{names['group']}:2",
        "tuning": "/jobs/tuning",
        "tuning-job": f"/jobs/tuning/{names['tuning']}",
        "experiments": "/experiments",
        "experiment": f"/experiments/{names['experiment']}",
        "lineage": f"/lineage?of=s3://{bucket}/churn/train/",
        "evaluate": f"/evaluate?uris={predictions}&slice=channel",
        "endpoints": "/endpoints",
        "endpoint": f"/endpoints/{names['endpoint']}",
        "captured": f"/endpoints/{names['endpoint']}/captured",
        "models": "/models",
        "notebooks": "/notebooks",
        **({"notebook": f"/notebooks/{names['notebook']}"} if "notebook" in names else {}),
        "studio": f"/studio/{names['domain']}",
        "account": "/account",
        "user": "/account/users/ada",
        "health": "/health",
        "coverage": "/coverage",
    }


def _await(account: Account, names: dict[str, str]) -> None:
    """Wait until the tuning job has ended and samples were written."""
    sagemaker, s3 = account.client("sagemaker"), account.client("s3")
    until = time.monotonic() + 300
    while time.monotonic() < until:
        found = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=names["tuning"])
        listed = s3.list_objects_v2(Bucket=names["bucket"], Prefix="captured/")
        if found["HyperParameterTuningJobStatus"] != "InProgress" and listed["KeyCount"]:
            return
        time.sleep(0.5)


def _look(account: Account, pages: dict[str, str], chosen: argparse.Namespace) -> list[str]:
    """Write the pictures; return what is wrong with them."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an environment's of its own

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    wrong: list[str] = []
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        viewport: Any = {"width": chosen.width, "height": HEIGHT}
        page = browser.new_context(viewport=viewport, base_url=account.url).new_page()
        blank = browser.new_page()
        page.goto("/_clary/console/sign-in")
        wrong += _picture(page, blank, chosen.out / "sign-in.png")
        page.get_by_label("Access key ID").fill(account.access_key_id)
        page.get_by_label("Secret access key").fill(account.secret_access_key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Home").wait_for()
        for name, path in pages.items():
            if chosen.only and name not in chosen.only.split(","):
                continue
            for scheme in ("light", "dark") if name in BOTH or chosen.all_dark else ("light",):
                page.emulate_media(color_scheme=scheme)
                page.goto(f"/_clary/console{path}")
                if name == "notebook":  # the rest of its log has paths of this machine
                    page.get_by_label("Find").fill("is running")
                page.wait_for_timeout(400)
                ending = "-dark" if scheme == "dark" else ""
                wrong += _picture(page, blank, chosen.out / f"{name}{ending}.png")
                page.set_viewport_size({"width": NARROW, "height": HEIGHT})
                page.wait_for_timeout(300)
                wide = page.evaluate("document.documentElement.scrollWidth")
                wrong += [f"{name} is {wide} px wide, on a screen of {NARROW}"] if wide > NARROW else []
                if chosen.narrow:
                    wrong += _picture(page, blank, chosen.narrow / f"{name}{ending}.png")
                page.set_viewport_size(viewport)
        browser.close()
    return wrong


def _picture(page: Any, blank: Any, path: Path) -> list[str]:
    """Write one picture with a palette; say whether it is too large."""
    tall = min(TALLEST, max(HEIGHT, page.evaluate("document.documentElement.scrollHeight")))
    page.set_viewport_size({"width": page.viewport_size["width"], "height": tall})
    taken = page.screenshot(animations="disabled")
    source = f"data:image/png;base64,{base64.b64encode(taken).decode()}"
    width, height, pixels = blank.evaluate(PIXELS, source)
    path.write_bytes(
        _png(np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 4)[..., :3])
    )
    sys.stdout.write(f"{path.name}: {path.stat().st_size / 1000:.0f} kB\n")
    return [f"{path.name} has more than {MOST_BYTES} bytes"] if path.stat().st_size > MOST_BYTES else []


def _png(pixels: np.ndarray) -> bytes:
    """Return a PNG with a palette: the 256 colours that are there most; each other becomes its nearest."""
    shades = pixels[..., 0].astype(np.uint32) << 16 | pixels[..., 1].astype(np.uint32) << 8 | pixels[..., 2]
    colours, places, counts = np.unique(shades, return_inverse=True, return_counts=True)
    kept = np.argsort(-counts, kind="stable")[:256]
    parts_of = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.int32)
    nearest = [int(np.argmin(((parts_of[kept] - each) ** 2).sum(axis=1))) for each in parts_of]
    indices, colours = np.asarray(nearest, np.uint8)[places], colours[kept]
    height, width = pixels.shape[:2]
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = indices.reshape(height, width)
    palette = b"".join(struct.pack(">I", int(each))[1:] for each in colours)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in parts)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


if __name__ == "__main__":
    sys.exit(main())

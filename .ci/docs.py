"""Checks the documentation: links, size, and the commands, which are run against a demo gateway.

    python3 docs.py http://127.0.0.1:3000 target/debug/ai-gateway [PAGE ...]

The URL is that of a gateway that runs `ai-gateway demo`. Without URL and binary only links, size and marks
are checked. With pages, only the commands of these pages are run.

A block of commands (```sh or ```bash) is run with `bash -e` in a folder of its page that has copies of
.env.example and compose.yaml. `http://localhost:3000` becomes the URL, `cargo run [--release] [--]` the
binary, every $..._KEY is set, and curl fails where the status is an error. It must end with exit code 0.
A comment in the line before a block says something else:

    <!-- not run here: REASON -->      the block is left out
    <!-- run, prints: TEXT -->         its output must have TEXT
    <!-- run, fails, prints: TEXT -->  the same, and it must fail
    <!-- run until: TEXT -->           it serves, on a free port and without the keys: it is stopped once
                                       it printed TEXT
    <!-- checked by FILE: TEXT -->     for python and js: FILE has a test, in which TEXT stands
"""

import ast
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BESIDE = (ROOT / f"{name}.md" for name in ("CONTRIBUTING", "SECURITY", "CHANGELOG"))
PAGES = [README, *BESIDE, *sorted(ROOT.glob("docs/**/*.md"))]
MAX_README = 10_000
PATIENCE = 60
MARK = re.compile(r"<!-- (not run here|run until|run, prints|run, fails, prints|checked by [\w./]+): (.+) -->")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)|<(https?://[^>\s]+)>|^\[[^\]]+\]:\s*(\S+)", re.M)

failures = []


def fail(page, line, text):
    failures.append(f"{page.relative_to(ROOT)}:{line}: {text}")
    print(f"FAIL {failures[-1]}", flush=True)


class Page:
    """A page, its blocks of code, and the rest of it, in which code is blanked and lines stay where they are."""

    def __init__(self, path):
        self.path, self.blocks = path, []
        rest, fence = [], None
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            opening = re.match(r"( *)(`{3,}|~{3,})\s*(\w*)", line)
            if fence is None and opening:
                fence = opening[2]
                before = next((text for text in reversed(lines[: number - 1]) if text.strip()), "")
                self.blocks.append((number, opening[3], MARK.fullmatch(before.strip()), []))
            elif fence is not None and line.strip().startswith(fence) and not line.strip(" `~"):
                fence = None
            elif fence is not None:
                self.blocks[-1][3].append(line)
            else:
                rest.append(line)
                continue
            rest.append("")
        if fence is not None:
            fail(path, self.blocks[-1][0], "the block of code has no end")
        self.raw = "\n".join(rest)
        self.text = re.sub(r"<!--.*?-->|(`+).+?\1", lambda found: re.sub(r"[^\n]", " ", found[0]), self.raw, flags=re.S)

    def anchors(self):
        """The slugs of the headings, as GitHub makes them."""
        found = {}
        for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", self.raw, re.M):
            heading = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            times = found[slug] = found.get(slug, -1) + 1
            yield slug if times == 0 else f"{slug}-{times}"


def check_links(pages):
    anchors = {path: set(page.anchors()) for path, page in pages.items()}
    leads_to = {path: set() for path in pages}
    for path, page in pages.items():
        for found in LINK.finditer(page.text):
            link, line = found[1] or found[2] or found[3], page.text.count("\n", 0, found.start()) + 1
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                if parts.scheme not in ("http", "https", "mailto") or not (parts.netloc or parts.path):
                    fail(path, line, f"{link} is no URL")
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or not target.is_relative_to(ROOT):
                fail(path, line, f"{link}: there is no such file")
            elif parts.fragment and parts.fragment not in anchors.get(target, ()):
                fail(path, line, f"{link}: there is no such heading")
            leads_to[path].add(target)
    seen, left = set(), [README]
    while left:
        path = left.pop()
        if path not in seen:
            seen.add(path)
            left.extend(leads_to.get(path, ()))
    for path in pages.keys() - seen:
        fail(path, 1, "no link leads here from the README")


def check_mark(path, line, language, mark, code):
    kind = mark[1] if mark else ""
    if language in ("python", "js"):
        test = ROOT / kind.removeprefix("checked by ")
        if not kind.startswith("checked by ") or not test.is_file() or mark[2] not in test.read_text(encoding="utf-8"):
            fail(path, line, "a comment before it must name the file and the test that check it")
        if language == "python":
            try:
                ast.parse(code)
            except SyntaxError as error:
                fail(path, line, f"it is no Python: {error}")
    elif language in ("sh", "bash"):
        if kind.startswith("checked by "):
            fail(path, line, "commands are run here, or it is said why not")
    elif mark:
        fail(path, line, "only commands, Python and JavaScript have a mark")
    elif language in ("shell", "console", "zsh", "javascript", "ts", "typescript", "py"):
        fail(path, line, f"write sh, js or python, not {language}")


def environment(url, binary, folder):
    (folder / "bin").mkdir()
    (folder / "bin/ai-gateway").symlink_to(Path(binary).resolve())
    (folder / ".curlrc").write_text("silent\nshow-error\nfail-with-body\nmax-time = 30\n")
    keys = re.findall(r"^# (\w+_KEY)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.M)
    return {
        "PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder), "CURL_HOME": str(folder),
        "NO_PROXY": "*", "no_proxy": "*", "HOST": "127.0.0.1", "PORT": str(urllib.parse.urlsplit(url).port),
    } | dict.fromkeys([*keys, "TEAM_KEY"], "some-key")


def run(path, line, mark, code, url, env, folder):
    kind, wanted = (mark[1], mark[2]) if mark else ("run", "")
    print(f"\n-- {path.relative_to(ROOT)}:{line}" + (f" ({kind}: {wanted})" if mark else ""), flush=True)
    print(code, flush=True)
    if kind == "not run here":
        return
    serves = kind == "run until"
    code = re.sub(r"\bcargo run(?: --release)?(?: --(?= ))?", "ai-gateway", code.replace("http://localhost:3000", url))
    if serves:
        env = {name: value for name, value in env.items() if not name.endswith("_KEY")} | {"PORT": "0"}
    process = subprocess.Popen(
        ["bash", "-ec", code], cwd=folder, env=env, text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    late = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    output, found = "", False
    for text in process.stdout:
        output += text
        if serves and not found and wanted in output:
            found = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
    status = process.wait()
    late.cancel()
    if wanted and wanted not in output:
        fail(path, line, f"it does not print {wanted!r}, but:\n{output}")
    elif kind == "run, fails, prints" and status == 0:
        fail(path, line, f"it does not fail; it prints:\n{output}")
    elif kind != "run, fails, prints" and status != 0 and not (serves and status == -signal.SIGTERM):
        fail(path, line, f"exit code {status}; it prints:\n{output}")


def main():
    url, binary = [*sys.argv[1:3], None, None][:2]
    only = [Path(name).resolve() for name in sys.argv[3:]]
    pages = {path: Page(path) for path in PAGES if path.exists() or fail(path, 1, "the page is missing")}
    check_links(pages)
    size = README.stat().st_size
    if size > MAX_README:
        fail(README, 1, f"it has {size} bytes; {MAX_README} is the most")
    commands = 0
    for path, page in pages.items():
        with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file in (".env.example", "compose.yaml"):
                shutil.copy(ROOT / file, folder)
            env = environment(url, binary, Path(home)) if binary else {}
            for line, language, mark, code in page.blocks:
                code = "\n".join(code)
                check_mark(path, line, language, mark, code)
                if language in ("sh", "bash") and binary and (not only or path in only):
                    commands += not mark or mark[1] != "not run here"
                    run(path, line, mark, code, url.rstrip("/"), env, folder)
    print(f"\n{len(pages)} pages, {commands} blocks of commands run, {len(failures)} failures")
    for text in failures:
        print(f"  {text}")
    sys.exit(bool(failures))


main()

"""JsSIP for the page of the tests, from jssip.tar.xz: what `npm ci --ignore-scripts` makes of package-lock.json (which
pins versions and sha512), without maps and types, licences included. Kept here because a registry that is slow must not
decide about a test. To renew it: npm, then `tar -cJf jssip.tar.xz node_modules`.

npm ends in CommonJS modules; `script` makes one script of them, as a bundler would.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ARCHIVE = HERE / "jssip.tar.xz"
CACHE = HERE.parents[2] / "build" / "webrtc"
_REQUIRED = re.compile(r"""\brequire\((['"])([^'"]+)\1\)""")

# `debug` has an entry for browsers beside the one for Node (its package.json says so under "browser").
_LOADER = """
const modules = {%s};
const loaded = {};
const process = {env: {}};
function load(path) {
    if (!(path in loaded)) {
        const module = loaded[path] = {exports: {}};
        const [body, names] = modules[path];
        body(module, module.exports, (name) => load(names[name]));
    }
    return loaded[path].exports;
}
globalThis.JsSIP = load(%s);
"""


def script() -> str:
    """JavaScript that defines the global `JsSIP`."""
    modules = _fetched() / "node_modules"
    start = _entry(modules / "jssip")
    texts: dict[Path, str] = {}
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in texts:
            texts[path] = _wrapped(path, modules)
            waiting += _requirements(path, modules).values()
    table = ",\n".join(f"{json.dumps(str(path))}: {text}" for path, text in texts.items())
    return f"(() => {{{_LOADER % (table, json.dumps(str(start)))}}})();"


def _fetched() -> Path:
    """Unpacked, once for each content of the archive."""
    folder = CACHE / hashlib.sha256(ARCHIVE.read_bytes()).hexdigest()[:16]
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as unfinished:
            shutil.unpack_archive(ARCHIVE, unfinished)
            with contextlib.suppress(OSError):  # another run was quicker
                Path(unfinished).rename(folder)
            Path(unfinished).mkdir(exist_ok=True)  # for whoever removes it
    return folder


def _wrapped(path: Path, modules: Path) -> str:
    """A module as [function of (module, exports, require), what its names stand for]."""
    text = path.read_text()
    body = f"module.exports = {text};" if path.suffix == ".json" else text
    names = {name: str(found) for name, found in _requirements(path, modules).items()}
    return f"[(module, exports, require) => {{{body}\n}}, {json.dumps(names)}]"


def _requirements(path: Path, modules: Path) -> dict[str, Path]:
    return {name: _resolved(path, name, modules) for name in _named(path)} if path.suffix == ".js" else {}


def _named(path: Path) -> Iterator[str]:
    return (found[2] for found in _REQUIRED.finditer(path.read_text()))


def _resolved(path: Path, name: str, modules: Path) -> Path:
    """Node's rules as far as these packages use them. FileNotFoundError."""
    if name.startswith("."):
        return _file((path.parent / name).resolve())
    return _entry(modules / name) if (modules / name).is_dir() else _file(modules / name)


def _entry(package: Path) -> Path:
    """The module that a package is asked for by its name."""
    described = json.loads((package / "package.json").read_text())
    return _file((package / (described.get("browser") or described.get("main") or "index.js")).resolve())


def _file(base: Path) -> Path:
    for choice in (base, base.with_name(f"{base.name}.js"), base / "index.js"):
        if choice.is_file():
            return choice
    raise FileNotFoundError(base)

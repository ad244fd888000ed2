#!/usr/bin/python3
"""Collects the quickstart's text from Debian packages into a folder: nothing of it is part of this project.

code     Python's standard library (libpython3-stdlib), whole modules
math     PARI's (pari-doc) and Maxima's (maxima-doc) documentation, TeX and HTML reduced to text
prose    the King James Bible (bible-kjv), one file a book
manual   Perl's documentation (perl-doc), as general technical English
formal   Metamath's set.mm (metamath-databases): statements and comments of its first sections, without the proofs
doctest  the target: for every module of SymPy and mpmath (python3-sympy), records of the docstring's sentence, the
         doctest's code and its output; one file a module, identical records kept once

Makes only what the folder lacks: a corpus' folder is there complete or not at all.

usage: prepare_text.py DIR
"""
import argparse
import ast
import doctest
import glob
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def installed_or_unpacked(path, package, scratch):
    """`path`, or the same path inside the unpacked package where an image leaves documentation out."""
    if os.path.exists(path):
        return path
    folder = os.path.join(scratch, package)
    if not os.path.isdir(folder):
        os.makedirs(folder)
        subprocess.run(["apt-get", "download", "-q", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for deb in glob.glob(os.path.join(folder, "*.deb")):
            subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
    unpacked = os.path.join(folder, path.lstrip("/"))
    if not os.path.exists(unpacked):
        sys.exit(f"prepare_text.py: {path} is neither installed nor in package {package}")
    return unpacked


def write(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def ascii_text(text):
    """Typographic characters as ASCII; the byte model should not spend its width on them."""
    table = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "--", "\u00a0": " ",
             "\u2026": "...", "\u2212": "-", "\u27e8": "<", "\u27e9": ">"}
    text = text.translate(str.maketrans(table))
    return text.encode("ascii", "ignore").decode("ascii")


def code(out, _scratch):
    source = Path("/usr/lib/python3.11")
    if not source.is_dir():
        source = Path(f"/usr/lib/python3.{sys.version_info.minor}")
    skip = {"site-packages", "dist-packages", "test", "tests", "idlelib", "pydoc_data", "lib2to3", "__pycache__"}
    for path in sorted(source.rglob("*.py")):
        relative = path.relative_to(source)
        if skip & set(relative.parts) or path.stat().st_size < 400:
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        write(out / "code", str(relative).replace("/", "."), ascii_text(text))


def html_to_text(page):
    page = re.sub(r"(?is)<(script|style|head).*?</\1>", " ", page)
    page = re.sub(r"(?i)<(p|br|/?div|/?pre|/?tr|li|/?h[1-6]|dt|dd)\b[^>]*>", "\n", page)
    page = html.unescape(re.sub(r"<[^>]+>", "", page))
    page = re.sub(r"[ \t]+\n", "\n", page)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def math(out, scratch):
    maxima = installed_or_unpacked("/usr/share/doc/maxima-doc/html", "maxima-doc", scratch)
    for path in sorted(Path(maxima).glob("maxima_*.html")):
        text = ascii_text(html_to_text(path.read_text(encoding="utf-8", errors="ignore")))
        if len(text) > 600:
            write(out / "math", "maxima-" + path.stem + ".txt", text)
    pari = installed_or_unpacked("/usr/share/pari/doc", "pari-doc", scratch)
    for path in sorted(Path(pari).glob("*.tex")):
        text = ascii_text(path.read_text(encoding="latin-1"))
        # A chapter is one document per section, so that documents are of one size.
        for number, section in enumerate(re.split(r"(?m)^(?=\\(?:sub)*sec(?:op|ref|tion)?\b|\\chapter)", text)):
            if len(section) > 600:
                write(out / "math", f"pari-{path.stem}-{number:04d}.txt", section)


def prose(out, _scratch):
    books = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], capture_output=True, text=True, check=True).stdout
    by_book = {}
    for line in books.splitlines():
        match = re.match(r"^(\d?\s?[A-Za-z]+)\s?(\d+):(\d+)\s+(.*)$", line)
        if match:
            by_book.setdefault((match[1], int(match[2]) // 5), []).append(match[4])
    for (book, part), verses in by_book.items():
        write(out / "prose", f"{book.strip()}-{part:02d}.txt", ascii_text("\n".join(verses)) + "\n")


def manual(out, scratch):
    pods = installed_or_unpacked("/usr/share/perl/5.36.0/pod", "perl-doc", scratch)
    for path in sorted(Path(pods).glob("*.pod")):
        if path.name.startswith(("perltoc", "perluniprops")):
            continue
        write(out / "manual", path.stem + ".txt", ascii_text(path.read_text(encoding="utf-8", errors="ignore")))


def formal(out, scratch):
    """Sections of set.mm, until there are 4 MB. Compressed proofs, which are letters that stand for steps, are left out."""
    database = installed_or_unpacked("/usr/share/metamath/databases/set.mm", "metamath-databases", scratch)
    text = ascii_text(Path(database).read_text(encoding="utf-8", errors="ignore"))
    text = text[text.index("$( Begin $[ set-main.mm $] $)"):]
    text = re.sub(r"(?s)\$=\s.*?\$\.", "$.", text)
    size = 0
    for number, section in enumerate(re.split(r"(?m)^(?=\$\(\n[#=*-]{3})", text)):
        if size < 4_000_000 and len(section) > 600:
            write(out / "formal", f"set-{number:04d}.txt", section)
            size += len(section)


def records(text):
    """Sentence, code and output of every doctest in a docstring."""
    parser = doctest.DocTestParser()
    sentence = ""
    try:
        pieces = parser.parse(text)
    except ValueError:
        return
    for piece in pieces:
        if isinstance(piece, str):
            lines = [line.strip() for line in piece.strip().splitlines()]
            lines = [line for line in lines if len(line) > 20 and not set(line) <= set("=-~")]
            if lines:
                sentence = " ".join(lines[-2:])
        elif piece.want.strip() and not piece.source.startswith(("from ", "import ")):
            yield f"{sentence}\n>>> {piece.source.strip()}\n{piece.want.strip()}\n\n"


def target(out, _scratch):
    seen = set()
    for package in ("sympy", "mpmath"):
        root = Path("/usr/lib/python3/dist-packages")
        for path in sorted((root / package).rglob("*.py")):
            if {"tests", "testing"} & set(path.parts):
                continue
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except SyntaxError:
                continue
            text = ""
            for node in ast.walk(tree):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                    for record in records(ast.get_docstring(node) or ""):
                        record = ascii_text(record)
                        if record not in seen:
                            seen.add(record)
                            text += record
            if len(text) > 300:
                write(out / "doctest", ".".join(path.relative_to(root).with_suffix("").parts) + ".txt", text)


CORPORA = {"code": code, "math": math, "prose": prose, "manual": manual, "formal": formal, "doctest": target}


def prepare(name, out, scratch):
    """One corpus, into a folder of its own that is renamed when it is complete."""
    fresh = out / (name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    CORPORA[name](fresh, scratch)
    (fresh / name).rename(out / name)
    fresh.rmdir()
    files = list((out / name).iterdir())
    print(f"{name}: {len(files)} files, {sum(f.stat().st_size for f in files) / 1e6:.2f} MB")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    out = arguments.parse_args().folder
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in CORPORA:
            if not (out / name).is_dir():
                prepare(name, out, scratch)


if __name__ == "__main__":
    main()

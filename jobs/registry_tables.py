#!/usr/bin/python3
"""Writes README.md's tables of merge methods and similarity metrics from what `cmsweep methods` and `cmsweep metrics` print.

usage: registry_tables.py [--program build/release/bin/cmsweep] [--check]
--check: changes nothing; exit 1 if the tables are not up to date.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def entries(printed):
    """What the program prints, one dict an entry: name, mark (family, or "not symmetric"), summary, parameters (name -> default or None), source."""
    for block in printed.strip().split("\n\n"):
        head, summary, *lines = block.split("\n")
        name, mark = re.fullmatch(r"(\w+)(?:\s+[\[(](.*)[\])])?", head).groups()
        entry = {"name": name, "mark": mark or "", "summary": summary.strip(), "parameters": {}}
        for line in lines:
            key, text = line.strip().split(": ", 1) if ": " in line else (line.strip(), "")
            if key == "source":
                entry["source"] = text
            elif key == "most rows":
                entry["summary"] += f"; at most {int(text.split(';')[0]):,} rows"
            elif key not in ("needs", "holds"):
                default = re.search(r"; default (.*?)(?:;|$)", text)
                entry["parameters"][key] = default.group(1) if default else None
        yield entry


def cell(text):
    return text.replace("|", "\\|")


def with_defaults(parameters):
    return "; ".join(f"`{name}`" + (f" {default}" if default else "") for name, default in parameters.items())


def methods_table(printed):
    rows = [f"| `{e['name']}` | {e['mark']} | {cell(e['summary'])} | {cell(with_defaults(e['parameters']))} | {cell(e['source'])} |" for e in entries(printed)]
    return "\n".join(["| method | family | what it does | parameters and defaults | source |", "|---|---|---|---|---|", *rows])


def metrics_table(printed):
    rows = [f"| `{e['name']}` | {cell(e['summary'])} | {cell(with_defaults(e['parameters']))} | {cell(e['source'])} |" for e in entries(printed)]
    return "\n".join(["| metric | what it is | parameters and defaults | source |", "|---|---|---|---|", *rows])


def updated(readme, run):
    """The README with fresh tables between its markers; `run(command)` gives what the program prints."""
    for name, table in (("methods", methods_table), ("metrics", metrics_table)):
        start, end = f"<!-- {name}: written by jobs/registry_tables.py -->\n", f"<!-- end of {name} -->"
        before, rest = readme.split(start)
        readme = before + start + table(run(name)) + "\n" + end + rest.split(end)[1]
    return readme


def main():
    parser = argparse.ArgumentParser(description="Writes README.md's tables of methods and metrics.")
    parser.add_argument("--program", default=ROOT / "build" / "release" / "bin" / "cmsweep")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the tables are not up to date")
    options = parser.parse_args()
    readme = ROOT / "README.md"
    text = readme.read_text()
    fresh = updated(text, lambda command: subprocess.run([options.program, command], capture_output=True, text=True, check=True).stdout)
    if options.check:
        sys.exit("README.md: its tables are not what the program prints; run jobs/registry_tables.py" if fresh != text else 0)
    readme.write_text(fresh)


if __name__ == "__main__":
    main()

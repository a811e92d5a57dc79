#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Print a deb822 sources file with this machine's own Debian archives: apt-sources.py "deb deb-src"

Reads what apt itself is configured to read (sources.list, *.list, *.sources) and keeps the main
component of the distribution's own suites: archives of third parties need not have sources and are
not ours to ask.  Used by tools/apt.sh, which keeps the result away from /etc.
"""
import glob
import os
import subprocess
import sys

GENERIC = {"stable", "oldstable", "testing", "unstable", "sid"}
POCKETS = ("", "-updates", "-security", "/updates")


def apt_dirs():
    fmt = ["LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"]
    out = subprocess.run(["apt-config", "shell"] + fmt, capture_output=True, text=True, check=True)
    pairs = dict(line.split("=", 1) for line in out.stdout.splitlines())
    return pairs.get("LIST", "''").strip("'"), pairs.get("PARTS", "''").strip("'")


def codename():
    with open("/etc/os-release", encoding="utf-8") as f:
        for line in f:
            if line.startswith("VERSION_CODENAME="):
                return line.split("=", 1)[1].strip().strip('"')
    return "stable"


def stanzas_of_list(text):
    """One-line style: deb [opt=value ...] uri suite component..."""
    for line in text.splitlines():
        words = line.split("#", 1)[0].replace("[", " [ ").replace("]", " ] ").split()
        if not words or words[0] != "deb":
            continue
        stanza, words = {}, words[1:]
        if words and words[0] == "[":
            end = words.index("]")
            for option in words[1:end]:
                key, _, value = option.partition("=")
                name = "-".join(p.capitalize() for p in key.split("-"))
                stanza[name] = value.replace(",", " ")
            words = words[end + 1:]
        if len(words) >= 3:
            stanza.update(URIs=words[0], Suites=words[1], Components=" ".join(words[2:]))
            yield stanza


def stanzas_of_sources(text):
    """deb822 style; continuation lines (a key inside Signed-By) are kept as they are."""
    for block in text.split("\n\n"):
        stanza, key = {}, None
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t" and key:
                stanza[key] += "\n" + line
            elif ":" in line:
                key, _, value = line.partition(":")
                stanza[key] = value.strip()
        enabled = stanza.get("Enabled", "yes").lower() not in ("no", "false", "0")
        if enabled and "deb" in stanza.get("Types", "").split() and "URIs" in stanza:
            yield stanza


def main():
    names = GENERIC | {codename()}
    wanted = {n + p for n in names for p in POCKETS}
    main_list, parts = apt_dirs()
    files = [main_list] + sorted(glob.glob(os.path.join(parts, "*")))
    found = 0
    for path in files:
        reader = {".list": stanzas_of_list, ".sources": stanzas_of_sources}.get(
            os.path.splitext(path)[1])
        if not reader or not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
        for stanza in reader(text):
            suites = [s for s in stanza.get("Suites", "").split() if s in wanted]
            if not suites or "main" not in stanza.get("Components", "").split():
                continue
            # Which architectures to index is the caller's choice, not the machine's.
            for key in ("Types", "Enabled", "Arch", "Architectures"):
                stanza.pop(key, None)
            stanza.update(Suites=" ".join(suites), Components="main")
            print("Types: " + sys.argv[1])
            print("".join(f"{k}: {v}\n" for k, v in stanza.items()))
            found += 1
    if not found:
        sys.exit(f"apt-sources: no Debian archive among apt's sources ({', '.join(files)})")


if __name__ == "__main__":
    main()

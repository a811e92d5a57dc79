#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run the emulator tests.

    run.py [--tier ci|all] [--jobs 2] [PATTERN...]      PATTERN: test, test~variation, globs

A test is a file test_NAME.py beside this one with

    TIER = "ci" or "nightly"
    SECONDS = what it takes on a quiet host of two cores (per variation)
    VARIATIONS = {"name": {...}, ...}        optional: run(t, **variation) once for each; a member
                                             "seconds" is not passed on but stands for SECONDS
    def run(t, ...): ...                     raises Failure or Skip (harness.py)

Each (test, variation) is a process of its own with a hard limit.  Logs stay under build/qemu/.
"""
import argparse
import concurrent.futures
import fnmatch
import importlib
import inspect
import os
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import harness  # noqa: E402 (needs the path set above)

PASS, FAIL, SKIP = 0, 1, 77


class Context:
    """What a test is given: makes media and machines, and cleans up behind it."""

    def __init__(self, name):
        self.name = name.replace("~", "-")
        self.build = harness.build_dir()
        self.where = os.path.join(self.build, "qemu")
        self.machines = []
        os.makedirs(self.where, exist_ok=True)

    def path(self, name):
        """A scratch file of this test."""
        return os.path.join(self.where, f"{self.name}.{name}")

    def built(self, name):
        """A file of the build; the test is skipped where it was not made."""
        path = os.path.join(self.build, name)
        if not os.path.exists(path):
            raise harness.Skip(f"{os.path.relpath(path, harness.TOP)} is not built")
        return path

    def iso(self, config, cmdline, loader="grub", elf="penumbra.elf", modules=("guestbios.bin",),
            search=("guests",), allow_missing=False):
        """A medium with @config (text) and the images it names. modules: FILE or FILE=NAME."""
        # Not NAME.iso: images are looked for beside the config, where it could pass for a guest's.
        config_path, out = self.path("conf"), self.path("medium.iso")
        with open(config_path, "w", encoding="utf-8") as f:
            f.write(config)
        command = [os.path.join(harness.TOP, "iso/mkiso.sh"), "--out", out, "--config", config_path,
                   "--elf", self.built(elf), "--cmdline", cmdline, "--loader", loader]
        for m in modules:
            command += ["--module", m if os.path.isabs(m) else self.built(m)]
        for s in search:
            command += ["--search", os.path.join(self.build, s)]
        if allow_missing:
            command.append("--allow-missing")
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise harness.Failure(f"mkiso failed:\n{made.stdout}{made.stderr}")
        return out

    def boot(self, iso, emulator="qemu", **how):
        kind = {"qemu": harness.Qemu, "bochs": harness.Bochs}.get(emulator, emulator)
        n = len(self.machines)
        m = kind(self.where, self.name + (f"-{n + 1}" if n else ""), iso, **how)
        self.machines.append(m)
        return m

    def check(self, condition, message):
        if not condition:
            tail = self.machines[-1].tail() if self.machines else ""
            raise harness.Failure(f"{message}\n{tail}")

    def check_log(self, m):
        """The serial format held: every record valid, none missing."""
        problems = m.log.check()
        self.check(not problems, "serial format: " + "; ".join(problems[:5]))

    def expect_passed(self, m, *guests, limit=120):
        """Each of @guests ends with a passing result and the machine with all-passed."""
        for g in guests:
            r = m.wait_record("result", limit, guest=g)
            self.check(r["status"] == "pass", f"{g} ended with status {r['status']}: {r}")
        status = m.finish(30)
        if isinstance(m, harness.Qemu):
            self.check(status == harness.QEMU_PASS,
                       f"QEMU's exit status is {status}, expected {harness.QEMU_PASS}")
        self.check_log(m)

    def close(self):
        for m in self.machines:
            m.stop()


def load(name):
    return importlib.import_module("test_" + name)


def arguments_of(variation):
    """What run() is given of a variation's members."""
    return {name: value for name, value in variation.items() if name != "seconds"}


def check_table(name, module):
    """A variation that cannot run is found when tests are listed, not in the night in which it is its turn."""
    table = getattr(module, "VARIATIONS", {None: {}})
    for v, variation in table.items():
        try:
            inspect.signature(module.run).bind("t", **arguments_of(variation))
        except TypeError as why:
            raise SystemExit(f"test_{name}.py, {v}: {why}") from why
    stray = set(getattr(module, "NIGHTLY", ())) - set(table)
    if stray:
        raise SystemExit(f"test_{name}.py: NIGHTLY has {sorted(stray)}, which are no variations")


def jobs_of(tier, patterns):
    """(test, variation or None, seconds, limit) of what is asked for, longest first."""
    found = []
    for f in sorted(os.listdir(HERE)):
        if not (f.startswith("test_") and f.endswith(".py")):
            continue
        name = f[5:-3]
        module = load(name)
        check_table(name, module)
        for v, arguments in getattr(module, "VARIATIONS", {None: {}}).items():
            full = f"{name}~{v}" if v else name
            if patterns:
                wanted = any(fnmatch.fnmatchcase(n, p) for p in patterns for n in (name, full))
            else:
                tiers = getattr(module, "NIGHTLY", ())
                wanted = tier == "all" or (module.TIER == "ci" and v not in tiers)
            if wanted:
                found.append((full, arguments.get("seconds", module.SECONDS)))
    return sorted(found, key=lambda job: -job[1])


def run_one(full):
    """In a process of its own: run one test, say why it failed, exit with PASS, FAIL or SKIP."""
    name, _, variation = full.partition("~")
    module = load(name)
    arguments = arguments_of(getattr(module, "VARIATIONS", {}).get(variation, {}))
    t = Context(full)
    try:
        module.run(t, **arguments)
        return PASS
    except harness.Skip as why:
        print(why)
        return SKIP
    except harness.Failure as why:
        print(why)
        return FAIL
    except Exception:  # a mistake in the test is a failure with its trace
        traceback.print_exc(file=sys.stdout)
        return FAIL
    finally:
        t.close()


def spawn(job):
    full, seconds = job
    limit = 60 + seconds * harness.SLOW * 3
    start = time.monotonic()
    child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--one", full],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        text, _ = child.communicate(timeout=limit)
        status = child.returncode
    except subprocess.TimeoutExpired:
        child.terminate()  # its handler stops the emulators
        text, _ = child.communicate()
        text += f"\nstopped: not done after {limit:.0f} s"
        status = FAIL
    return full, status, time.monotonic() - start, text.strip()


def report(results):
    print("\nslowest:")
    for full, _, took, _ in sorted(results, key=lambda r: -r[2])[:10]:
        print(f"  {took:6.1f} s  {full}")
    skipped = [r for r in results if r[1] == SKIP]
    failed = [r for r in results if r[1] not in (PASS, SKIP)]
    for full, _, _, text in skipped:
        print(f"SKIP: {full}: {text.splitlines()[-1] if text else 'no reason given'}")
    for full, _, _, text in failed:
        print(f"FAIL: {full}: {text.splitlines()[0] if text else 'no output'}")
    passed = len(results) - len(skipped) - len(failed)
    print(f"qemu: {passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return bool(failed)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--tier", choices=("ci", "all"), default="ci")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--list", action="store_true")
    p.add_argument("--one")
    p.add_argument("patterns", nargs="*")
    args = p.parse_args()
    if args.one:
        import signal
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAIL))  # runs the finally above
        return run_one(args.one)
    jobs = jobs_of(args.tier, args.patterns)
    if not jobs:
        print(f"no test matches {' '.join(args.patterns)}")
        return FAIL
    if args.list:
        for full, seconds in jobs:
            print(f"{seconds:5d} s  {full}")
        return PASS
    results = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(spawn, j) for j in jobs]):
            full, status, took, text = done.result()
            word = {PASS: "ok", SKIP: "skip"}.get(status, "not ok")
            print(f"{word:7s} {full:36s} {took:6.1f} s", flush=True)
            if text and status != SKIP:  # of one that passed: what it measured
                print("".join(f"    {line}\n" for line in text.splitlines()), end="", flush=True)
            results.append(done.result())
    return FAIL if report(results) else PASS


if __name__ == "__main__":
    sys.exit(main())

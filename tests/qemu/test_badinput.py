# SPDX-License-Identifier: MIT
"""What people get wrong in config, command line and media: each is named by an error record, and the good
guest beside it starts. Catches silent acceptance as well as one bad guest taking the rest down."""
import os

import demo

TIER = "ci"
SECONDS = 12
GOOD = demo.guest("good", "128M")
SMALL = "[guest {}]\nmemory = 64M\ncdrom = module:{}\nboot = cdrom\n"


def mentions(*words):
    return lambda text: isinstance(text, str) and all(w in text for w in words)


def case(config=GOOD, cmdline="", errors=(), starts=("good",), image=None, **iso):
    """errors: for each expected record its members; a callable is asked about the value."""
    return {"config": config, "cmdline": cmdline, "errors": errors, "starts": starts,
            "image": image, "iso": iso}


VARIATIONS = {
    "config-key": case(GOOD + SMALL.format("bad", "demo.iso") + "flavour = mild\n",
                       errors=[{"guest": "bad", "where": mentions("penumbra.conf:", "flavour")}]),
    "config-value": case(GOOD + "[guest bad]\nmemory = lots\n",
                         errors=[{"guest": "bad", "where": mentions("penumbra.conf:", "memory"),
                                  "message": mentions("lots")}]),
    "config-section": case(GOOD + "[gast bad]\nmemory = 64M\n",
                           errors=[{"message": mentions("gast bad")}]),
    "config-not-built": case(GOOD + SMALL.format("bad", "demo.iso") + "nic = bridge:eth0\n",
                             errors=[{"guest": "bad", "where": mentions("nic")}]),
    "config-garbage": case(GOOD + SMALL.format("bad", "demo.iso") + "\x01\x02 no key here\n",
                           errors=[{"guest": "bad", "where": mentions("penumbra.conf:")}]),
    "cpus": case(demo.guest("good", "128M", more="cpus = 8"),
                 errors=[{"guest": "good", "where": mentions("cpus")}]),
    "cmdline-key": case(cmdline="pagign=nested",
                        errors=[{"where": mentions("pagign"), "message": mentions("paging")}]),
    "cmdline-value": case(cmdline="stats=often", errors=[{"where": mentions("stats=often")}]),
    "cmdline-guest": case(cmdline="nobody.memory=64M", errors=[{"message": mentions("nobody")}]),
    "missing-image": case(GOOD + SMALL.format("bad", "not-there.iso"), allow_missing=True,
                          errors=[{"guest": "bad", "message": mentions("not-there.iso")}]),
    "zero-image": case(GOOD + SMALL.format("bad", "image.iso"), image=0,
                       errors=[{"guest": "bad", "message": mentions("image.iso")}]),
    "truncated-image": case(GOOD + SMALL.format("bad", "image.iso"), image=100000,
                            errors=[{"guest": "bad", "message": mentions("truncated")}]),
    "truncated-bios": case(image=1000, modules=("image.iso=guestbios.bin",), starts=(),
                           errors=[{"where": "guestbios.bin", "message": mentions("1000")}]),
    "missing-bios": case(modules=(), starts=(), errors=[{"where": "guestbios.bin"}]),
    "20-guests": case(GOOD + "".join(SMALL.format(f"g{i}", "demo.iso") for i in range(19)),
                      errors=[{"message": mentions("guests")}], starts=("good", "g0")),
    "40-guests": case(GOOD + "".join(SMALL.format(f"g{i}", "demo.iso") for i in range(39)),
                      errors=[{"message": mentions("too many guests")}], starts=("good",)),
    "too-much-memory": case(GOOD + demo.guest("bad", "64G"),
                            errors=[{"guest": "bad", "message": mentions("only")}]),
}


def run(t, config, cmdline, errors, starts, image, iso):
    if image is not None:
        # Its module name comes from the file name, so it stands in a directory of its own.
        where = t.path("images")
        os.makedirs(where, exist_ok=True)
        path = os.path.join(where, "image.iso")
        with open(t.built("guests/demo.iso"), "rb") as demo_iso, open(path, "wb") as f:
            f.write(demo_iso.read(image))
        iso = dict(iso, search=("guests", where))
        if "modules" in iso:
            iso["modules"] = [path + "=guestbios.bin"]
    m = t.boot(t.iso(config, f"paging=nested exit=qemu {cmdline}".strip(), **iso))
    m.wait_record("boot", 60)
    for members in errors:
        m.wait_record("error", 20, **members)
    for name in starts:
        m.wait_record("guest", 20, name=name, event="start")
    if starts:
        m.wait_line(f"{starts[0]}:vga", "ISOLINUX", 60)
    else:
        m.wait_record("result", 20, guest="good", status="fail")
        m.finish(30)
    t.check_log(m)

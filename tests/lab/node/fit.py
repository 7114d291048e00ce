"""Fits kind's node files to machines that miss a capability or some cgroup controllers."""

import pathlib
import sys

root, pause = pathlib.Path(sys.argv[1]), sys.argv[2]


def edit(path, change):
    file = root / path
    before = file.read_text()
    after = change(before)
    if after == before:
        sys.exit(f"{path}: nothing to change, so kind's file is another one than expected")
    file.write_text(after)


def entrypoint(text):
    # Controllers that this machine has not mounted are hidden, or systemd mounts them and kubelet misses /kubelet there;
    # and a cgroup is not bind-mounted onto itself.
    start, end = text.index("remove_misc_controller() {"), text.index("fix_cgroup() {")
    hide = (
        "remove_misc_controller() {\n"
        "  [ -f /sys/fs/cgroup/cgroup.controllers ] && return\n"
        "  awk '/^#/ || $2 != 0' /proc/cgroups >/kind/fake-cgroups\n"
        "  mount --bind /kind/fake-cgroups /proc/cgroups\n"
        "}\n\n"
    )
    text = text[:start] + hide + text[end:]
    return text.replace('  mount --bind "${subsystem}/${cgroup_root}" "${subsystem}/${cgroup_root}"\n', "")


def without_limits(text):
    limits = ("LimitNPROC", "LimitCORE", "LimitNOFILE", "OOMScore")
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(limits))


def sandbox(text):
    text = text.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    return "".join(
        line.split('"')[0] + f'"{pause}"\n' if "/pause:" in line else line for line in text.splitlines(keepends=True)
    )


edit("usr/local/bin/entrypoint", entrypoint)
edit("etc/systemd/system/containerd.service", without_limits)
edit("etc/containerd/config.toml", sandbox)
for folder in ("usr/local/bin", "usr/local/sbin", "kind/bin"):
    for file in (root / folder).glob("*"):
        file.chmod(0o755)

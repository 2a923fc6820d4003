"""What a binary is made of, in CycloneDX 1.5: `cargo metadata` on stdin, the bill of materials on stdout.

sbom.py BINARY TARGET VERSIONS. Only what is linked counts: normal dependencies, with neither those of build scripts and
procedural macros nor those of tests. VERSIONS names Debian's sources of the standard library and of the C library.
"""

import hashlib
import json
import sys
from pathlib import Path


def linked(metadata):
    """Ids of the packages that are reached without passing a build script or a procedural macro."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    graph, ahead = {}, [metadata["resolve"]["root"]]
    while ahead:
        package = ahead.pop()
        if package in graph:
            continue
        graph[package] = sorted(
            other["pkg"]
            for other in nodes[package]["deps"]
            if any(kind["kind"] is None for kind in other["dep_kinds"])
            and not any("proc-macro" in target["kind"] for target in packages[other["pkg"]]["targets"])
        )
        ahead += graph[package]
    return packages, graph


def crate(package):
    """One package of crates.io as a component; its hash is that of Cargo.lock."""
    component = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
    }
    # What stands in for a crate (build/regex) is no package of crates.io.
    if package["source"] or package["name"] == "holdfast":
        component["purl"] = reference(package)
    if package["license"]:
        # Older manifests separate choices by a slash, which is no SPDX expression.
        component["licenses"] = [{"expression": package["license"].replace("/", " OR ").replace("  ", " ")}]
    checksum = CHECKSUMS.get((package["name"], package["version"]))
    if checksum:
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return component


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def checksums():
    """Of Cargo.lock: (name, version) to SHA-256. Read by line, as cargo writes it: older Pythons know no TOML."""
    found, entry = {}, {}
    for line in Path("Cargo.lock").read_text().splitlines():
        if line == "[[package]]":
            entry = {}
        key, equals, value = line.partition(" = ")
        if equals:
            entry[key] = value.strip('"')
        if key == "checksum":
            found[entry["name"], entry["version"]] = entry[key]
    return found


def debian(line):
    name, version = line.split()
    purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def main():
    binary, target, versions = sys.argv[1:]
    packages, graph = linked(json.load(sys.stdin))
    root = next(package for package in graph if packages[package]["name"] == "holdfast")
    system = [debian(line) for line in Path(versions).read_text().splitlines()]
    crates = sorted((packages[package] for package in graph if package != root), key=reference)
    subject = crate(packages[root]) | {
        "type": "application",
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(Path(binary).read_bytes()).hexdigest()}],
        "properties": [{"name": "target", "value": target}],
    }
    depends = [
        {
            "ref": reference(packages[package]),
            "dependsOn": [reference(packages[other]) for other in graph[package]]
            + ([component["bom-ref"] for component in system] if package == root else []),
        }
        for package in sorted(graph, key=lambda package: reference(packages[package]))
    ]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": subject},
        "components": [crate(package) for package in crates] + system,
        "dependencies": depends,
    }
    json.dump(bill, sys.stdout, indent=2)
    print()


CHECKSUMS = checksums()
main()

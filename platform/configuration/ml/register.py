"""Make the ml-* services a part of the platform, or no part of it any more.

    python3 register.py [on|off] [WORKSPACE]     # default: on, the workspace that this file is in

On adds the elements of the files beside this one to the launch files, allows those who may send a sqlDataRequest to
send an mlRequest, and puts the scenario among the others; off gives back every byte. README.md says what for.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCENARIO = "ml-request.yaml"
FILES = ("datasets.json", "microservices.json", "requestType.json")
AGREEMENTS = {'["sqlDataRequest"]': '["sqlDataRequest", "mlRequest"]', '["wageGap"]': '["wageGap", "energy"]'}


def elements(name: str) -> str:
    """What stands between the brackets of one of the files here."""
    return (HERE / name).read_text().strip().removeprefix("[").removesuffix("]").strip("\n")


def change(workspace: Path, on: bool) -> None:
    folder = workspace / "configuration" / "etcd_launch_files"
    new: dict[Path, str] = {}
    for name in FILES:
        text = (folder / name).read_text()
        added = ",\n" + elements(name)
        if on and added not in text:
            before, bracket, after = text.rpartition("\n]")
            if not bracket:
                sys.exit(f"{folder / name} doesn't end like a launch file of the platform")
            text = before + added + bracket + after
        elif not on:
            text = text.replace(added, "")
        new[folder / name] = text
    agreements = (folder / "agreements.json").read_text()
    for without, with_ml in AGREEMENTS.items():
        agreements = agreements.replace(without, with_ml) if on else agreements.replace(with_ml, without)
    new[folder / "agreements.json"] = agreements
    for file, text in new.items():
        if file.read_text() != text:
            file.write_text(text)
    scenario = workspace / "scenarios" / SCENARIO
    if on:
        scenario.write_bytes((HERE / SCENARIO).read_bytes())
    else:
        scenario.unlink(missing_ok=True)


def main() -> None:
    how = sys.argv[1] if len(sys.argv) > 1 else "on"
    if how not in ("on", "off"):
        sys.exit(f"on or off, not {how}")
    change(Path(sys.argv[2]) if len(sys.argv) > 2 else HERE.parent.parent, how == "on")


if __name__ == "__main__":
    main()

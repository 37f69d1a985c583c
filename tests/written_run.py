"""The files of a run, written without training one."""

import json

import yaml

from cnncli.training.history import COLUMNS

INTERVAL = {"value": 0.75, "low": 0.5, "high": 1.0}
REPORT = {"split": "test", "accuracy": INTERVAL, "balanced_accuracy": INTERVAL, "ece": 0.125}
IMAGES = [
    ("a/1.png", "a", "train", "11"),
    ("b/1.png", "b", "train", "12"),
    ("a/2.png", "a", "val", "13"),
    ("b/2.png", "b", "test", "14"),
]


def write_run(folder, losses, *, report=REPORT, images=IMAGES, **settings):
    """Write what a run of these val losses leaves, but for its checkpoint."""
    folder.mkdir(parents=True)
    config = {"data": "./figures", "model": "lenet5", "monitor": "val_loss", **settings}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    rows = [",".join(COLUMNS)]
    for epoch, loss in enumerate(losses, start=1):
        row = dict.fromkeys(COLUMNS, 0.5) | {"epoch": epoch, "val_loss": loss, "seconds": epoch}
        rows.append(",".join(str(row[column]) for column in COLUMNS))
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    lines = ["path,label,split,group,bytes,hash"]
    lines += [f"{path},{label},{split},,9,{digest}" for path, label, split, digest in images]
    (folder / "splits.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if report is not None:
        (folder / "report.json").write_text(json.dumps(report))
    return folder

"""What a cross-validation leaves out of what its folds say, and what it never does."""

from helpers import HeardInOrder

from cnncli.run.fold_reporter import FoldReporter


def test_only_remarks_before_the_training_are_said_once():
    said = HeardInOrder()
    reporter = FoldReporter(said, 2)
    for fold in (1, 2):
        reporter.begin(fold)
        reporter.note("lenet5, 2 threads")
        reporter.warn("one val image is of class 'a'")
        for epoch in (1, 2):
            reporter.row({"epoch": str(epoch)}, f"epoch {epoch}")
            reporter.note("no better for a while: lr times 0.1")
        reporter.note("stopped: 1 epoch without a better one")
    trained = [
        "fold {}  epoch 1",
        "fold {}: no better for a while: lr times 0.1",
        "fold {}  epoch 2",
        "fold {}: no better for a while: lr times 0.1",
        "fold {}: stopped: 1 epoch without a better one",
    ]
    warning = "warning: fold {}: one val image is of class 'a'"
    expected = [line.format("1/2") for line in ("fold {}: lenet5, 2 threads", warning, *trained)]
    assert said.lines == expected + [line.format("2/2") for line in (warning, *trained)]

"""What is computed after an epoch, and by which process."""

from types import SimpleNamespace

import numpy as np
import pytest

from cnncli.run import epochs


@pytest.mark.parametrize(("is_first", "calls"), [(True, 1), (False, 0)])
def test_only_the_first_process_fits_the_temperature(monkeypatch, is_first, calls):
    """With 50,000 val images of 1,000 classes it takes seconds, and all want them at once."""
    fitted = []
    targets, probabilities = np.array([0, 1]), np.array([[0.9, 0.1], [0.3, 0.7]], np.float32)
    monkeypatch.setattr(epochs, "predict_split", lambda *_, **__: (targets, probabilities))
    monkeypatch.setattr(epochs, "fit_careful_temperature", lambda *_: fitted.append(1) or 2.0)
    nothing = SimpleNamespace
    session = nothing(
        inputs=nothing(build_evaluated=lambda _: None, val=None),
        trainer=nothing(compute=nothing(device=nothing(type="cuda")), lr=0.1),
        world=nothing(
            is_first=is_first, copy_buffers=lambda _: None, from_first=lambda value: value
        ),
        stop_request=nothing(time_limit=nothing(keep_for_the_end=lambda *_: None)),
        network=None,
        weights=None,
        plan=nothing(backbone_is_fixed=False),
        threads=nothing(now=1),
    )
    progress = nothing(epoch=1, seconds=1.0, images=2, lr=0.1, loss=0.5, accuracy=1.0)
    row, _ = epochs.validate(session, progress, lambda *_: None, ordered=False)
    assert len(fitted) == calls
    assert row["temperature"] == (2 if is_first else 1)

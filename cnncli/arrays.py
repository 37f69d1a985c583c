"""The type of an array whose shape and dtype the docstring tells."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

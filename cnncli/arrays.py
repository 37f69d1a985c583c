"""The type of an array; the docstring of what uses it gives its shape and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

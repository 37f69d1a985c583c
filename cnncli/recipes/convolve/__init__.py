"""``cnncli convolve``: a convolution, and what is behind it, on numbers or on images."""

"""``cnncli visualize``: a file for each picture that it draws, and what they share."""

"""Reading images: from the bytes of a file to an array of the size that a network takes."""

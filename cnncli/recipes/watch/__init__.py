"""Answer the images of a folder as they arrive, a row of a file for each."""

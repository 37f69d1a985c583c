"""Random changes of training images.

``words``, ``values`` and ``notation`` describe and parse pipelines and import nothing heavy; the
other modules run them with OpenCV and Albumentations.
"""

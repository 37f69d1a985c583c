"""What a network sees: numbers computed from a network and images, before anything is drawn."""

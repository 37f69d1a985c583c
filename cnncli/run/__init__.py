"""What a run is made of, from its settings to its report; the recipes put it together."""

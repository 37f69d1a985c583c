"""Run a network once without computing: shapes, costs and receptive fields of its layers."""

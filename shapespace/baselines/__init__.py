"""What any method has to beat: the nearest training shape, the mean shape, screened Poisson."""

"""f and grad f of the perceptrons in one hand-written step of autograd."""

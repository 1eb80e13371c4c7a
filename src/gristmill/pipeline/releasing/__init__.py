"""From a bundle that passed the gate to one that answers: rehearsed, registered, promoted."""

"""The graph of tasks that training is, the scheduler that places them, its simulator."""

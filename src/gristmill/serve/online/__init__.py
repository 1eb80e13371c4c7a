"""The engine of one model online: replicas, the driver of the scheduler, the cache of answers."""

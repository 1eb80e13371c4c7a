"""Records: the state of shards in memory and on disk, and who is where."""

"""Server: routes over HTTP, connections and their limits, start and orderly end."""

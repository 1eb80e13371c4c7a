"""Streams of pictures: who answers them, off the event loop; conversations over WebSocket."""

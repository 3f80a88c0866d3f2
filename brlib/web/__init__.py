"""The skin: Flask routes, the WebSocket, and the server that runs them."""

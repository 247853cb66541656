//! What a command asks its node over the control socket.

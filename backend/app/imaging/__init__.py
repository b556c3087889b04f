"""What the bytes of an image say: its format, its dimensions, its end."""

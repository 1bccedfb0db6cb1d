"""The same promises on emulated Raspberry Pi processors."""

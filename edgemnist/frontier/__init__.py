"""The frontier of sizes: what each network costs on this board, and how accurate it is."""

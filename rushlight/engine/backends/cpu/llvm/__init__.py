"""Machine code for compiled programs, through LLVM."""

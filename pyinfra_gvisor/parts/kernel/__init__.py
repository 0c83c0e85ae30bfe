"""The kernel's surface: modules that are never needed kept out, and settings of the kernel's."""

"""Small real Linux guests for `renova demo` and for the tests: Debian's cloud kernel, busybox and GRUB.

`image.build` makes an image; `packages.fetch` gets what it is made of; `root/` and `initramfs/` are our part
of it. Nothing here is asyncio: building blocks for seconds, so a coroutine calls it in a thread.
"""

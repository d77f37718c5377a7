/* What an allocation can be. VG_KIND(NAME, text, traits): `text` is how reports call it. Written to
 * files by number: append only.
 *
 * ON_HOST       takes host memory, not the device's
 * OF_CONTEXT    ends with its context
 * ESTIMATED     the driver does not tell the amount; ours is computed from the descriptor
 * HANDLE        known by a handle instead of an address
 * MOVES         the driver moves it between the host and the device, where it may not be at all */
/* clang-format off */
VG_KIND(DEVICE,     "cuMemAlloc",       VG_TRAIT_OF_CONTEXT)
VG_KIND(PITCH,      "pitched",          VG_TRAIT_OF_CONTEXT)
VG_KIND(MANAGED,    "managed",          VG_TRAIT_OF_CONTEXT | VG_TRAIT_MOVES)
VG_KIND(ASYNC,      "stream-ordered",   0)
VG_KIND(VIRTUAL,    "virtual memory",   VG_TRAIT_HANDLE)
VG_KIND(ARRAY,      "arrays",           VG_TRAIT_OF_CONTEXT | VG_TRAIT_ESTIMATED | VG_TRAIT_HANDLE)
VG_KIND(PINNED,     "pinned host",      VG_TRAIT_OF_CONTEXT | VG_TRAIT_ON_HOST)
VG_KIND(REGISTERED, "registered host",  VG_TRAIT_OF_CONTEXT | VG_TRAIT_ON_HOST)
/* What was asked of the device and lies on the host instead. */
VG_KIND(SPILLED,    "spilled to host",  VG_TRAIT_OF_CONTEXT | VG_TRAIT_ON_HOST)
VG_KIND(SPILLED_VIRTUAL, "virtual memory spilled to host", VG_TRAIT_ON_HOST | VG_TRAIT_HANDLE)
